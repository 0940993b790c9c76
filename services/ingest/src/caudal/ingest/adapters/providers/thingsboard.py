"""ThingsBoard style: all variables of a device at once, each with rows of its own, oldest first when asked so."""

from datetime import datetime, timedelta
from typing import Any

from caudal.common.domain.payloads.times import EARLIEST, time_reader
from caudal.common.domain.providers import ThingsboardConnection
from caudal.common.ports import Clock
from caudal.ingest.adapters.providers.answers import Entry, Page, page_of
from caudal.ingest.adapters.providers.client import Gathered, newest, walked
from caudal.ingest.adapters.providers.exchange import Exchange
from caudal.ingest.adapters.providers.failures import transient
from caudal.ingest.adapters.providers.instants import epoch_ms
from caudal.ingest.domain.paging import Ask
from caudal.ingest.ports import Question

_read_time = time_reader("epoch_ms", "UTC", "before")
_AHEAD = timedelta(days=1)
"""How far beyond now the latest value is looked for: a wrong clock is to be seen, not to be silent."""


class ThingsboardApi:
    """Asks for the time series of a device."""

    def __init__(self, connection: ThingsboardConnection, exchange: Exchange, clock: Clock) -> None:
        self._connection, self._exchange, self._clock = connection, exchange, clock

    async def latest(self, question: Question) -> Gathered:
        """As `Api`."""
        gathered = Gathered()
        gathered.add(await self._page(question, Ask(EARLIEST, self._clock.now() + _AHEAD, 1), oldest_first=False))
        gathered.rows = newest(gathered.rows)
        return gathered

    async def span(self, question: Question, start: datetime, end: datetime) -> Gathered:
        """As `Api`."""

        async def fetch(ask: Ask) -> Page:
            return await self._page(question, ask, oldest_first=True)

        return await walked(fetch, start, end, self._connection.page_rows, newest_first=False)

    async def _page(self, question: Question, ask: Ask, oldest_first: bool) -> Page:
        params = {
            "keys": ",".join(dict.fromkeys(question.keys.values())),
            "startTs": str(epoch_ms(ask.start)),
            "endTs": str(epoch_ms(ask.end)),
            "limit": str(ask.limit),
            "asc": "true" if oldest_first else "false",
        }
        answer, raw = await self._exchange.get(self._connection.path, {"remote_id": question.remote_id}, params)
        strands = [(variable, key, _items(answer, key, raw)) for variable, key in question.keys.items()]
        return page_of(
            (
                (len(items), [Entry(variable, item.get("ts"), item.get("value"), {key: item}) for item in items])
                for variable, key, items in strands
            ),
            _read_time,
            raw,
        )


def _items(answer: Any, key: str, raw: str) -> list[dict[str, Any]]:
    if answer is None:
        return []
    items = answer.get(key, []) if isinstance(answer, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise transient("the answer is no object from key to a list of values with their times", raw)
    return items
