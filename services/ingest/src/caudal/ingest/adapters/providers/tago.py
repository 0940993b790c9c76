"""TagoIO: one variable at a time, newest first, numbers, texts and booleans."""

from datetime import datetime
from typing import Any

from caudal.common.domain.payloads.times import time_reader
from caudal.common.domain.providers import TagoConnection
from caudal.ingest.adapters.providers.answers import Entry, Page, page_of
from caudal.ingest.adapters.providers.client import Gathered, each_latest, each_span
from caudal.ingest.adapters.providers.exchange import Exchange
from caudal.ingest.adapters.providers.failures import Failure, permanent, transient
from caudal.ingest.adapters.providers.instants import instant
from caudal.ingest.domain.paging import Ask
from caudal.ingest.ports import Question

_CREDENTIALS = ("auth", "token", "denied", "permission", "forbidden")
"""Words of a message that says that we are not let in; TagoIO also says so with status 200."""

_read_time = time_reader("rfc3339", "UTC", "before")


class TagoApi:
    """Asks `GET /data` for each variable."""

    def __init__(self, connection: TagoConnection, exchange: Exchange) -> None:
        self._connection, self._exchange = connection, exchange

    async def latest(self, question: Question) -> Gathered:
        """As `Api`."""

        async def fetch(variable: str) -> Page:
            return await self._page(question, variable, {"query": "last_item"})

        return await each_latest(question.keys, fetch)

    async def span(self, question: Question, start: datetime, end: datetime) -> Gathered:
        """As `Api`."""

        async def fetch(variable: str, ask: Ask) -> Page:
            times = {"start_date": instant(ask.start), "end_date": instant(ask.end)}
            return await self._page(question, variable, {**times, "qty": str(ask.limit)})

        return await each_span(question.keys, fetch, start, end, self._connection.page_rows)

    async def _page(self, question: Question, variable: str, params: dict[str, str]) -> Page:
        names, params = {"remote_id": question.remote_id}, {"variable": question.keys[variable], **params}
        answer, raw = await self._exchange.get(self._connection.path, names, params)
        items = self._result(answer, raw)
        entries = (Entry(variable, item.get("time"), item.get("value"), item) for item in items)
        return page_of([(len(items), entries)], _read_time, raw)

    def _result(self, answer: Any, raw: str) -> list[dict[str, Any]]:
        if isinstance(answer, dict) and answer.get("status") is False:
            raise self._refusal(self._exchange.mask(str(answer.get("message", "gives no reason")))[:200], raw)
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
            raise transient("TagoIO's answer has no list of results", raw)
        return result

    def _refusal(self, message: str, raw: str) -> Failure:
        is_about_us = any(word in message.lower() for word in _CREDENTIALS)
        return (permanent if is_about_us else transient)(f"TagoIO refuses: {message}", raw)
