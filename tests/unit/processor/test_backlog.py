"""Whether the processor has heard what was said while it could not listen."""

from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.domain.errors import Transient
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Delivery
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.processor.entrypoints.bus import BusEntrypoint
from caudal.processor.handlers.readings import Desk
from fakes.memory_ledger import MemoryLedger

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def waited(minutes: float) -> Delivery:
    """A reading that was received so many minutes ago."""
    at = NOW - MINUTE * minutes
    readings = [RawReading(measured_at=at, received_at=at, values={"flow": 1})]
    return Delivery("telemetry/d/raw", encode(RawReadings(device="d", inlet=Inlet.UPLINK, readings=readings)))


@pytest.fixture
def entrypoint() -> BusEntrypoint:
    catalog = MemoryCatalog()
    catalog.forget = lambda device: None  # type: ignore[attr-defined]
    return BusEntrypoint(Desk(MemoryLedger(), catalog), catalog, MemoryBus(), FakeClock(NOW), lambda: None)


async def test_who_has_just_started_has_heard_nothing_yet(entrypoint: BusEntrypoint) -> None:
    assert [entrypoint.has_caught_up(MINUTE) for _ in range(2)] == [False, True]


async def test_who_works_off_a_backlog_has_not_caught_up_before_it_is_through(entrypoint: BusEntrypoint) -> None:
    entrypoint.has_caught_up(MINUTE)
    await entrypoint.take_raw([waited(300)])
    assert not entrypoint.has_caught_up(MINUTE)
    await entrypoint.take_raw([waited(200)])
    await entrypoint.take_raw([waited(0)])
    assert entrypoint.has_caught_up(MINUTE)


async def test_nothing_is_kept_before_it_is_noted_how_far_readings_go() -> None:
    """Whoever has to try again begins again; once it is done, it is done."""
    ledger, catalog, begun = MemoryLedger(), MemoryCatalog(), list[int]()

    async def begin() -> None:
        begun.append(len(ledger.tables.raw))
        if len(begun) == 1:
            raise Transient("the database is away")

    entrypoint = BusEntrypoint(Desk(ledger, catalog), catalog, MemoryBus(), FakeClock(NOW), lambda: None, begin=begin)
    with pytest.raises(Transient):
        await entrypoint.take_raw([waited(2)])
    assert not ledger.tables.raw
    for minutes in (2, 1):
        await entrypoint.take_raw([waited(minutes)])
    assert (begun, len(ledger.tables.raw)) == ([0, 0], 2)
