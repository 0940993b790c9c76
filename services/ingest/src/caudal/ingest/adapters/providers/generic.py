"""Any API that answers a GET with JSON, as its connection describes it."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from caudal.common.domain.providers import GenericConnection
from caudal.common.ports import Clock
from caudal.ingest.adapters.providers.answers import Page
from caudal.ingest.adapters.providers.client import Gathered, newest, walked
from caudal.ingest.adapters.providers.exchange import Exchange
from caudal.ingest.adapters.providers.failures import Failure, transient
from caudal.ingest.adapters.providers.generic_answers import FOREIGN, GenericAnswers, Keys
from caudal.ingest.adapters.providers.instants import TimeWriter
from caudal.ingest.domain.paging import Ask, Pile, Strand, may_be_cut
from caudal.ingest.ports import Question

MAX_PAGES = 1_000
"""Pages of one span; after as many, something goes round in circles."""

_name = re.compile(r"\{(\w+)\}")
_AHEAD = timedelta(days=1)


class GenericApi:
    """Asks as its connection says.

    Args:
        connection: Where things are, in requests and in answers.
        exchange: Carries the questions.
        clock: What `latest` looks back from.
        zone: Of times without one, where the connection does not say.
    """

    def __init__(self, connection: GenericConnection, exchange: Exchange, clock: Clock, zone: str | None) -> None:
        self._connection, self._exchange, self._clock = connection, exchange, clock
        self._writer = TimeWriter(connection.sent_time, connection.time.zone or zone or "UTC")
        templates = [connection.path, *connection.params.values()]
        self._is_keyed = any("{key}" in template for template in templates)
        self._answers = GenericAnswers(connection, zone, exchange.mask, is_keyed=self._is_keyed)

    async def latest(self, question: Question) -> Gathered:
        """As `Api`."""
        now, gathered = self._clock.now(), Gathered()
        if self._connection.latest_params is None:
            start = now - timedelta(hours=self._connection.span_hours)
            gathered = await self.span(question, start, now + _AHEAD)
        else:
            path = self._connection.latest_path or self._connection.path
            for keys in self._groups(question):
                marks = self._marks(question, keys, None)
                page, _ = await self._page(path, self._connection.latest_params, keys, marks)
                gathered.add(page)
        gathered.rows = newest(gathered.rows)
        return gathered

    async def span(self, question: Question, start: datetime, end: datetime) -> Gathered:
        """As `Api`."""
        gathered = Gathered()
        for keys in self._groups(question):
            gathered.join(await self._span_of(question, keys, start, end))
        gathered.rows = [row for row in gathered.rows if row.variable != FOREIGN]
        return gathered

    async def _span_of(self, question: Question, keys: Keys, start: datetime, end: datetime) -> Gathered:
        limit, newest_first = self._connection.page_rows, self._connection.order == "newest_first"
        if self._connection.paging == "time":

            async def fetch(ask: Ask) -> Page:
                return (await self._history_page(keys, self._marks(question, keys, ask)))[0]

            resolution = self._writer.resolution
            return await walked(fetch, start, end, limit, newest_first=newest_first, resolution=resolution)
        pile, gathered = Pile(start, end, newest_first=newest_first), Gathered()
        asked = Ask(start - self._writer.resolution, end + self._writer.resolution, limit)
        async for page in self._pages(keys, self._marks(question, keys, asked), pile):
            gathered.note(page)
        gathered.rows = pile.rows()
        return gathered

    async def _pages(self, keys: Keys, marks: dict[str, str], pile: Pile) -> AsyncIterator[Page]:
        """All pages of a span, put on `pile`, by number, offset, cursor or link."""
        paging, cursor, rows = self._connection.paging, "", 0
        for turn in range(MAX_PAGES):
            numbers = {"page": str(self._connection.first_page + turn), "offset": str(rows), "cursor": cursor}
            page, answer = await self._history_page(keys, marks | numbers)
            new = pile.add(page.strands)
            rows += max((strand.count for strand in page.strands), default=0)
            yield page
            if paging in ("cursor", "link"):
                known, cursor = cursor, self._answers.next_cursor(answer)
                if not cursor:
                    return
                if cursor == known:
                    raise transient("the API gives the same cursor again", page.raw)
                if paging == "link":
                    marks = marks | {"link": cursor}
            elif paging == "none" or not any(may_be_cut(each, int(marks["limit"])) for each in page.strands):
                return
            elif not new:
                self._check_end(page.strands, int(marks["limit"]), page.raw)
                return
        raise transient(f"there is no end to the pages after {MAX_PAGES}")

    def _check_end(self, strands: Iterable[Strand], limit: int, raw: str) -> None:
        """A last page may be given again; a full one says that the API does not turn the page."""
        if any(strand.count >= limit for strand in strands):
            raise transient("the API gives the same rows again on its next page", raw)

    async def _history_page(self, keys: Keys, marks: Mapping[str, str]) -> tuple[Page, Any]:
        return await self._page(self._connection.path, self._connection.params, keys, marks)

    async def _page(
        self, path: str, templates: Mapping[str, str], keys: Keys, marks: Mapping[str, str]
    ) -> tuple[Page, Any]:
        params = {name: _name.sub(lambda mark: marks[mark[1]], text) for name, text in templates.items()}
        answer, raw = await self._answer(path, marks, {name: text for name, text in params.items() if text})
        return self._answers.page(answer, keys, raw), answer

    async def _answer(self, path: str, marks: Mapping[str, str], params: Mapping[str, str]) -> tuple[Any, str]:
        try:
            return await self._exchange.get(path, marks, params, self._answers.judge, marks.get("link", ""))
        except Failure as failure:
            if failure.status not in self._connection.no_data_statuses:
                raise
            return None, failure.outcome.raw

    # ---------------------------------------------------------------- questions

    def _groups(self, question: Question) -> list[Keys]:
        return [{code: key} for code, key in question.keys.items()] if self._is_keyed else [question.keys]

    def _marks(self, question: Question, keys: Keys, ask: Ask | None) -> dict[str, str]:
        """What the names in templates stand for; without `ask`, the latest values are asked for."""
        now = self._clock.now()
        start = ask.start if ask else now - timedelta(hours=self._connection.span_hours)
        return {
            "remote_id": question.remote_id,
            "key": next(iter(keys.values())) if self._is_keyed else "",
            "keys": ",".join(dict.fromkeys(keys.values())),
            "start": self._writer.start(start),
            "end": self._writer.end(ask.end if ask else now + _AHEAD),
            "limit": str(ask.limit if ask else self._connection.page_rows),
            "page": str(self._connection.first_page),
            "offset": "0",
            "cursor": "",
        }
