"""Polling with providers in memory, over the record in a database."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import RawReadings
from caudal.common.domain.catalog import Point, Provider
from caudal.common.domain.errors import Transient
from caudal.common.domain.payloads.refusals import Refusal
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Outgoing
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.ingest.adapters.sql_polling import SqlPollingRecord
from caudal.ingest.domain.schedule import Reach
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.asking import Asker
from caudal.ingest.handlers.polling import Polling, Round
from fakes.providers import MemoryClients, MemoryFleet, MemoryProvider

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
KEYS = {"flow": "q", "total": "v"}


class NoTally:
    """Counts nothing."""

    def accepted(self, inlet: Inlet, readings: int) -> None: ...

    def rejected(self, inlet: Inlet, kind: Refusal) -> None: ...

    def dropped(self, reason: str) -> None: ...


class FragileBus(MemoryBus):
    """Loses its broker when told to."""

    is_away = False

    async def publish(self, messages: Any) -> None:
        if self.is_away:
            raise Transient("no broker")
        await super().publish(messages)


class House:
    """Polling with providers in memory and the record in a database."""

    def __init__(self, engine: AsyncEngine, providers: list[Provider], points: list[Point]) -> None:
        self.engine = engine
        self.clock = FakeClock(NOW)
        self.bus = FragileBus()
        self.record = SqlPollingRecord(engine)
        self.acme, self.other = MemoryProvider(), MemoryProvider()
        self.fleet = MemoryFleet(providers, points)
        self.catalog = MemoryCatalog([*points], [*providers])
        self.polling = self.started()

    def started(self, holder: str = "ingest") -> Polling:
        """Polling as it is after a start: it remembers what the record remembers."""
        accepting = Accepting(self.catalog, self.bus, self.clock, NoTally())
        asker = Asker(accepting, self.record, self.clock, Reach(DAY, HOUR))
        self.clients = MemoryClients(acme=self.acme, other=self.other)
        return Polling(
            self.fleet, self.fleet, self.clients, self.record, asker, self.clock, every=MINUTE, at_once=4, holder=holder
        )

    async def round(self) -> Round:
        """One round, five minutes after the last one."""
        self.clock.at += 5 * MINUTE
        done = await self.polling.round(MINUTE)
        assert done is not None
        return done

    def handed_on(self, code: str = "well-1", variable: str = "flow") -> Counter[datetime]:
        """How often each instant of a point's variable went out."""
        bundles = [decode(message.payload, RawReadings) for message in self.raw()]
        readings = [reading for bundle in bundles if bundle.device == f"D-{code}" for reading in bundle.readings]
        return Counter(reading.measured_at for reading in readings if variable in reading.values)

    def raw(self) -> list[Outgoing]:
        """What was said on `raw`."""
        return [message for message in self.bus.published if message.topic.endswith("/raw")]
