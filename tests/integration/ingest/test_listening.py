"""Who listens, and how providers that come by themselves are shown, over the record on both databases."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from buses import until
from caudal.common.domain.catalog import Point, Provider, ProviderType
from caudal.common.domain.errors import InvalidInput, Permanent
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.ingest.adapters.sql_lease import SqlLease
from caudal.ingest.adapters.sql_polling import SqlPollingRecord
from caudal.ingest.domain.admission import PushKey
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.hearing import Hearing
from caudal.ingest.handlers.key_uses import KeyUses
from caudal.ingest.handlers.listening import LEASE_S, Listening
from caudal.ingest.handlers.presence import Presence
from caudal.ingest.handlers.receiving import Receiving, StreamedReading
from fakes.providers import MemoryFleet
from integration.ingest.polling_house import NoTally

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
FEED = Provider(code="feed", type=ProviderType.WEBSOCKET, connection={"url": "wss://stream.example.com"})
STREAMER = Provider(code="streamer", type=ProviderType.GRPC)


class Silent:
    """A feed on which nothing is ever said."""

    async def message(self) -> bytes:
        await asyncio.Event().wait()
        return b""


class Connections:
    """Feeds that count who is connected; refused as long as they are told to."""

    def __init__(self) -> None:
        self.open_now: list[str] = []
        self.refusal: Permanent | None = None

    @asynccontextmanager
    async def open(
        self, provider: Provider, secrets: Mapping[str, str], since: datetime | None
    ) -> AsyncIterator[Silent]:
        if self.refusal:
            raise self.refusal
        self.open_now.append(provider.code)
        try:
            yield Silent()
        finally:
            self.open_now.remove(provider.code)


class House:
    """Replicas of what listens, on one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.clock, self.bus = engine, FakeClock(NOW), MemoryBus()
        self.record = SqlPollingRecord(engine)
        self.catalog = MemoryCatalog([Point(code="P", device="D-1")], [FEED, STREAMER])
        self.accepting = Accepting(self.catalog, self.bus, self.clock, NoTally())

    def replica(self, holder: str, *providers: Provider) -> tuple[Listening, Connections, Presence]:
        """One replica, its connections, and what it knows of providers."""
        fleet, feeds, presence = MemoryFleet(providers or [FEED], []), Connections(), Presence(self.record, self.clock)
        hearing, lease = Hearing(self.accepting, presence, NoTally()), SqlLease(self.engine, "websocket")
        listening = Listening(fleet, fleet, feeds, hearing, presence, lease, self.clock, holder=holder)
        return listening, feeds, presence


@pytest.fixture
def house(engine: AsyncEngine) -> House:
    return House(engine)


@asynccontextmanager
async def at_work(*all_of_them: Listening) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(each.run()) for each in all_of_them]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_one_replica_listens_and_another_takes_over_when_it_stops(house: House) -> None:
    (first, firsts, _), (second, seconds, _) = house.replica("one"), house.replica("two")
    async with at_work(first) as tasks:
        await until(lambda: firsts.open_now == ["feed"])
        await second.look()
        assert seconds.open_now == []
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert firsts.open_now == []
    async with at_work(second):
        await until(lambda: seconds.open_now == ["feed"])


async def test_a_replica_that_died_is_replaced_and_hangs_up_if_it_was_only_asleep(house: House) -> None:
    (first, firsts, _), (second, seconds, _) = house.replica("one"), house.replica("two")
    async with at_work(first, second):
        await until(lambda: firsts.open_now + seconds.open_now == ["feed"])
        winner, feeds, loser, others = (
            (first, firsts, second, seconds) if firsts.open_now else (second, seconds, first, firsts)
        )
        house.clock.at += timedelta(seconds=LEASE_S + 1)
        await loser.look()
        await until(lambda: others.open_now == ["feed"])
        await winner.look()
        await until(lambda: feeds.open_now == [])


async def test_only_active_websockets_that_are_not_being_tried_are_listened_to(house: House) -> None:
    others = [
        replace(FEED, code="off", active=False),
        replace(FEED, code="tried", testing=True),
        Provider(code="asked", api="tago"),
        STREAMER,
    ]
    listening, feeds, _ = house.replica("one", FEED, *others)
    async with at_work(listening):
        await until(lambda: feeds.open_now == ["feed"])
        assert await listening.check() == {"connections": 1}


async def test_how_a_connection_is_doing_is_shown_and_when_it_was_heard_outlives_us(house: House) -> None:
    listening, feeds, presence = house.replica("one")
    presence.heard("feed")
    await presence.tell()
    listening, feeds, presence = house.replica("one")
    feeds.refusal = Permanent("refuses the WebSocket (401)")
    house.clock.at += timedelta(minutes=1)
    async with at_work(listening):
        await asyncio.sleep(0.2)
        await presence.tell()
        state = (await house.record.providers())["feed"]
    assert (state.error, state.error_at) == ("refuses the WebSocket (401)", house.clock.at)
    assert (state.connected_since, state.heard_at) == (None, NOW)


class OneKey:
    """Every secret is this key's."""

    async def of(self, secret: str) -> PushKey | None:
        return PushKey(id="one", provider="streamer")


async def test_a_provider_that_streams_is_shown_by_what_it_streams(house: House) -> None:
    presence = Presence(house.record, house.clock)
    uses = KeyUses(MemoryBus(), house.clock)
    receiving = Receiving(OneKey(), uses, house.catalog, house.accepting, presence, NoTally(), house.clock)
    assert await receiving.take("key", "D-1", [StreamedReading(NOW, {"flow": 1})]) == 1
    await presence.tell()
    state = (await house.record.providers())["streamer"]
    assert (state.heard_at, state.connected_at, state.error) == (NOW, NOW, None)
    with pytest.raises(InvalidInput):
        await receiving.take("key", "D-1", [StreamedReading(NOW + timedelta(days=1), {"flow": 1})])
    await presence.tell()
    state = (await house.record.providers())["streamer"]
    assert (state.heard_at, str(state.error).partition(":")[0]) == (NOW, "readings[0].measured_at")
