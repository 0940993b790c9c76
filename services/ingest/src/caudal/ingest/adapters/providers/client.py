"""What all clients do alike: latest values, and a history span by span; whatever happens becomes an outcome."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Protocol

import msgspec

from caudal.common.domain.errors import CaudalError
from caudal.common.domain.providers import Connection
from caudal.common.ports import Clock
from caudal.ingest.adapters.providers.answers import MAX_UNREADABLE, Page, readings_of
from caudal.ingest.adapters.providers.failures import Failure
from caudal.ingest.domain.paging import RESOLUTION, Ask, RemoteRow, Spans, TooDense, Walk
from caudal.ingest.ports import Answered, Failed, NoData, Outcome, Question, UnreadableRow


class Gathered(msgspec.Struct):
    """All that several pages gave."""

    rows: list[RemoteRow] = []
    unreadable: dict[UnreadableRow, None] = {}
    """Each once."""
    more_unreadable: int = 0
    """Beyond those that are kept; a row that comes twice counts twice."""
    raw: str = ""
    """The beginning of the first answer."""

    def add(self, page: Page) -> None:
        """Take in a page."""
        self.rows.extend(row for strand in page.strands for row in strand.rows)
        self.note(page)

    def join(self, other: "Gathered") -> None:
        """Take in what else was gathered."""
        self.rows.extend(other.rows)
        self.note(other)

    def note(self, other: "Page | Gathered") -> None:
        """Take in what is beside the rows of an answer."""
        known = {**self.unreadable, **dict.fromkeys(other.unreadable)}
        self.unreadable = dict(islice(known.items(), MAX_UNREADABLE))
        self.more_unreadable += other.more_unreadable + len(known) - len(self.unreadable)
        self.raw = self.raw or other.raw

    def told(self) -> list[UnreadableRow]:
        """Rows that cannot be read, and how many more there are."""
        if not self.more_unreadable:
            return list(self.unreadable)
        more = UnreadableRow(reason=f"{self.more_unreadable} more rows cannot be read", payload="[]")
        return [*self.unreadable, more]


class Api(Protocol):
    """One kind of API. Both raise `Failure` where there is no telling, and `TooDense`."""

    async def latest(self, question: Question) -> Gathered:
        """The latest value of each variable."""
        ...

    async def span(self, question: Question, start: datetime, end: datetime) -> Gathered:
        """Everything from `start` to before `end`, oldest first."""
        ...


class HttpProviderClient:
    """A `ProviderClient` for any kind of API."""

    def __init__(self, api: Api, connection: Connection, clock: Clock, mask: Callable[[str], str]) -> None:
        self._api, self._connection, self._clock, self._mask = api, connection, clock, mask

    async def latest(self, question: Question) -> Outcome:
        """As `ProviderClient`."""
        if not question.keys:
            return NoData(reason="asks for no variable")
        try:
            return self._outcome(await self._api.latest(question), None)
        except Failure as failure:
            return failure.outcome
        except CaudalError as error:
            return Failed(reason=self._mask(str(error)), is_transient=False)

    async def history(self, question: Question) -> AsyncIterator[Outcome]:
        """As `ProviderClient`."""
        spans = self._spans(question)
        if not question.keys or spans.is_over():
            yield NoData(reason="asks for nothing")
            return
        while not spans.is_over():
            try:
                gathered = await self._api.span(question, spans.start, spans.end)
            except Failure as failure:
                yield failure.outcome
                return
            except CaudalError as error:
                if isinstance(error, TooDense) and spans.shorten():
                    continue
                yield Failed(reason=self._mask(str(error)), is_transient=False)
                return
            yield self._outcome(gathered, spans.end)
            spans.advance(len(gathered.rows))

    def _spans(self, question: Question) -> Spans:
        length = timedelta(hours=self._connection.span_hours)
        now = self._clock.now()
        end = min(question.end or now, now)
        return Spans(question.start or end - length, end, length, self._connection.page_rows)

    def _outcome(self, gathered: Gathered, complete_until: datetime | None) -> Outcome:
        readings = readings_of(gathered.rows, self._mask)
        if not readings and not gathered.unreadable:
            return NoData(reason="nothing was measured", raw=gathered.raw, complete_until=complete_until)
        unreadable = [
            UnreadableRow(reason=self._mask(row.reason), payload=self._mask(row.payload)) for row in gathered.told()
        ]
        return Answered(readings=readings, raw=gathered.raw, unreadable=unreadable, complete_until=complete_until)


async def walked(
    fetch: Callable[[Ask], Awaitable[Page]],
    start: datetime,
    end: datetime,
    limit: int,
    *,
    newest_first: bool,
    resolution: timedelta = RESOLUTION,
) -> Gathered:
    """All rows of a stretch, page by page; see `Walk`."""
    walk = Walk(start, end, limit, newest_first=newest_first, resolution=resolution)
    gathered = Gathered()
    while walk.ask is not None:
        page = await fetch(walk.ask)
        gathered.note(page)
        walk.take(page.strands)
    gathered.rows = walk.rows()
    return gathered


async def each_latest(variables: Iterable[str], fetch: Callable[[str], Awaitable[Page]]) -> Gathered:
    """The latest values, asked for one by one."""
    gathered = Gathered()
    for variable in variables:
        gathered.add(await fetch(variable))
    gathered.rows = newest(gathered.rows)
    return gathered


async def each_span(
    variables: Iterable[str],
    fetch: Callable[[str, Ask], Awaitable[Page]],
    start: datetime,
    end: datetime,
    limit: int,
) -> Gathered:
    """A stretch of several variables, newest first and one by one."""
    gathered = Gathered()
    for variable in variables:
        gathered.join(await walked(partial(fetch, variable), start, end, limit, newest_first=True))
    return gathered


def newest(rows: list[RemoteRow]) -> list[RemoteRow]:
    """The newest row of each variable that has a value."""
    found: dict[str, RemoteRow] = {}
    for row in rows:
        known = found.get(row.variable)
        if row.value is not None and (known is None or row.measured_at > known.measured_at):
            found[row.variable] = row
    return list(found.values())
