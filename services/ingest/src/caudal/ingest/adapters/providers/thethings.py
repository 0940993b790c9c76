"""thethings.io v2: a resource at a time, newest first, without any cursor."""

from datetime import datetime
from typing import Any

from caudal.common.domain.payloads.times import time_reader
from caudal.common.domain.providers import ThethingsConnection
from caudal.ingest.adapters.providers.answers import Entry, Page, page_of
from caudal.ingest.adapters.providers.client import Gathered, each_latest, each_span
from caudal.ingest.adapters.providers.exchange import Exchange
from caudal.ingest.adapters.providers.failures import Failure, transient
from caudal.ingest.adapters.providers.instants import instant
from caudal.ingest.domain.paging import Ask
from caudal.ingest.ports import Question

_read_time = time_reader("rfc3339", "UTC", "before")


class ThethingsApi:
    """Asks for each resource of a thing."""

    def __init__(self, connection: ThethingsConnection, exchange: Exchange) -> None:
        self._connection, self._exchange = connection, exchange

    async def latest(self, question: Question) -> Gathered:
        """As `Api`."""

        async def fetch(variable: str) -> Page:
            return await self._page(question, variable, {"limit": "1"})

        return await each_latest(question.keys, fetch)

    async def span(self, question: Question, start: datetime, end: datetime) -> Gathered:
        """As `Api`."""

        async def fetch(variable: str, ask: Ask) -> Page:
            times = {"startDate": instant(ask.start), "endDate": instant(ask.end)}
            return await self._page(question, variable, {"limit": str(ask.limit), **times})

        return await each_span(question.keys, fetch, start, end, self._connection.page_rows)

    async def _page(self, question: Question, variable: str, params: dict[str, str]) -> Page:
        names = {"remote_id": question.remote_id, "key": question.keys[variable]}
        try:
            answer, raw = await self._exchange.get(self._connection.path, names, params)
        except Failure as failure:
            if failure.status != 404:
                raise
            # a resource exists from its first value on
            return Page([], [], failure.outcome.raw)
        items = _items(answer, raw)
        entries = (Entry(variable, item.get("datetime"), item.get("value"), item) for item in items)
        return page_of([(len(items), entries)], _read_time, raw)


def _items(answer: Any, raw: str) -> list[dict[str, Any]]:
    if answer is None:
        return []
    if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
        raise transient("thethings.io's answer is no list of values", raw)
    return answer
