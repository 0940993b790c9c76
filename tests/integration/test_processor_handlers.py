"""What the processor does, on a real ledger in SQLite and in PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.bus import codec
from caudal.common.bus.messages import Alert, ProcessedReadings, RawReading, RawReadings, Rejected
from caudal.common.bus.topics import TELEMETRY_ALERT, TELEMETRY_PROCESSED
from caudal.common.domain.catalog import Counter, Point, PulseMeter, Variable, VariableType, Version
from caudal.common.domain.errors import NotFound, Transient
from caudal.common.domain.readings import Flag, Inlet
from caudal.common.ports import Outgoing, SeriesRow
from caudal.common.settings import SqlSettings
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.common.testing.memory_store import MemoryStore
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.adapters.statements import COPIED_FROM
from caudal.processor.handlers.readings import Desk, claim, fold_again, keep
from caudal.processor.handlers.telling import BUS_REMEMBERS_S, Teller, bus_teller, store_teller
from caudal.processor.handlers.upkeep import cap, keep_rejected, mark_replayed, rebuild, tidy
from caudal.processor.handlers.weaving import ROWS_AT_ONCE
from caudal.processor.ports import Overtaken, Sink

NOW = datetime(2026, 3, 30, tzinfo=UTC)
START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def point(pulses_per_liter: float = 0.1, **settings: Any) -> Point:
    """A well with a pulse meter."""
    counter = Counter(meter=PulseMeter(pulses_per_liter=pulses_per_liter))
    total = Variable(code="total", type=VariableType.TOTALIZER, counter=counter)
    return Point(**{"code": "WELL-1", "device": "meter-1", "variables": (total,)} | settings)


def reading(hour: float, received: float | None = None, **values: float) -> RawReading:
    """Measured so many hours after the start, received as many, or as said, after now."""
    received_at = NOW + HOUR * (hour if received is None else received)
    return RawReading(measured_at=START + hour * HOUR, received_at=received_at, values=values, payload="{}")


def bundle(*readings: RawReading, device: str = "meter-1", inlet: Inlet = Inlet.UPLINK) -> RawReadings:
    return RawReadings(device=device, inlet=inlet, readings=list(readings))


class Listener:
    """A bus that keeps what is said."""

    def __init__(self) -> None:
        self.incarnation = 1
        self.processed: list[ProcessedReadings] = []
        self.alerts: list[Alert] = []

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if TELEMETRY_PROCESSED.parse(message.topic):
                self.processed.append(codec.decode(message.payload, ProcessedReadings))
            if TELEMETRY_ALERT.parse(message.topic):
                self.alerts.append(codec.decode(message.payload, Alert))


@pytest.fixture(params=["sqlite", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite+aiosqlite:///{tmp_path}/ledger.db" if is_sqlite else request.getfixturevalue("postgres").database()
    engine = open_engine(SqlSettings(database_url=url))
    await migrate(engine, "caudal.processor", "alembic_version_processor")
    yield engine
    await engine.dispose()


@pytest.fixture
def catalog() -> MemoryCatalog:
    return MemoryCatalog([point()])


@pytest.fixture
async def ledger(engine: AsyncEngine) -> AsyncIterator[SqlLedger]:
    async with aclosing(SqlLedger(engine)) as ledger:
        yield ledger


@pytest.fixture
def desk(ledger: SqlLedger, catalog: MemoryCatalog) -> Desk:
    return Desk(ledger, catalog)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(timedelta(days=90), FakeClock(NOW))


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def to_bus(ledger: SqlLedger, listener: Listener) -> Teller:
    return bus_teller(ledger, listener, lambda: 0.0, lambda: listener.incarnation)


@pytest.fixture
def to_store(ledger: SqlLedger, store: MemoryStore) -> Teller:
    return store_teller(ledger, store, lambda: 0.0)


async def totals(ledger: SqlLedger, code: str = "WELL-1") -> list[float | None]:
    async with ledger.unit() as unit:
        return [row.processed["total"].value for row in await unit.rows(code, START)]


async def statuses(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        counted = await connection.execute(text("select status, count(*) from ledger_raw group by status"))
        return {row[0]: row[1] for row in counted}


async def test_a_device_that_sends_again_is_stored_once(desk: Desk, ledger: SqlLedger, engine: AsyncEngine) -> None:
    await keep(desk, [bundle(reading(0, total=100), reading(1, total=200))])
    await keep(desk, [bundle(reading(1, received=5, total=200))])
    assert await totals(ledger) == [1, 2]
    assert await statuses(engine) == {"COMPLETED": 2, "SKIPPED": 1}


async def test_the_bus_delivering_again_leaves_no_trace(desk: Desk, engine: AsyncEngine) -> None:
    await keep(desk, [bundle(reading(0, total=100))])
    assert await keep(desk, [bundle(reading(0, total=100))]) == 0
    assert await statuses(engine) == {"COMPLETED": 1}


async def test_much_that_comes_again_beside_what_is_new_is_kept_once(
    desk: Desk, ledger: SqlLedger, engine: AsyncEngine
) -> None:
    """So many that they are copied, twice over, and the second time among others."""
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(2 * COPIED_FROM)))])
    again = range(COPIED_FROM, 4 * COPIED_FROM)
    changed = await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in again))])
    assert changed == 2 * COPIED_FROM
    assert await totals(ledger) == list(range(4 * COPIED_FROM))
    assert await statuses(engine) == {"COMPLETED": 4 * COPIED_FROM}


async def test_of_two_values_for_one_instant_the_later_received_wins(desk: Desk, ledger: SqlLedger) -> None:
    await keep(desk, [bundle(reading(0, received=9, total=150))])
    await keep(desk, [bundle(reading(0, received=3, total=100))])
    assert await totals(ledger) == [1.5]


async def test_values_of_one_instant_are_merged_by_variable(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    flow = Variable(code="flow", type=VariableType.FLOW)
    catalog.put(point(variables=(*point().variables, flow)))
    await keep(desk, [bundle(reading(0, total=100))])
    await keep(desk, [bundle(reading(0, received=2, flow=7.5))])
    async with ledger.unit() as unit:
        (row,) = await unit.rows("WELL-1", START)
    assert {code: value.value for code, value in row.processed.items()} == {"total": 1, "flow": 7.5}


async def test_what_is_told_of_a_correction_is_an_amendment(
    desk: Desk, ledger: SqlLedger, to_bus: Teller, listener: Listener
) -> None:
    await keep(desk, [bundle(reading(0, total=1000), reading(1, total=0))])
    await to_bus.step()
    await keep(desk, [bundle(reading(2, total=1100))])
    await to_bus.step()
    first, second = listener.processed
    assert [r.amends for r in first.readings] == [False, False]
    assert [(r.measured_at, r.amends) for r in second.readings] == [(START + HOUR, True), (START + 2 * HOUR, False)]
    assert second.readings[0].values["total"].flags == [Flag.GLITCH]


async def test_an_alert_is_raised_once_with_an_id_of_its_own(
    desk: Desk, ledger: SqlLedger, to_bus: Teller, listener: Listener
) -> None:
    await keep(desk, [bundle(reading(0, total=1000), reading(1, total=50), reading(2, total=60))])
    await keep(desk, [bundle(reading(1, received=8, total=50))])
    await to_bus.step()
    assert [(alert.rule, alert.measured_at) for alert in listener.alerts] == [("ZERO_TOTAL_RESET", START + HOUR)]
    assert listener.alerts[0].id == f"WELL-1/total/ZERO_TOTAL_RESET/{(START + HOUR).isoformat()}"


async def test_a_fall_is_an_alert_only_once_it_is_confirmed(
    desk: Desk, ledger: SqlLedger, to_bus: Teller, listener: Listener
) -> None:
    for hour, count in enumerate([1000, 0, 1100, 40]):
        await keep(desk, [bundle(reading(hour, total=count))])
        await to_bus.step()
    assert listener.alerts == []
    await keep(desk, [bundle(reading(4, total=60))])
    await to_bus.step()
    assert [(alert.rule, alert.measured_at) for alert in listener.alerts] == [("ZERO_TOTAL_RESET", START + 3 * HOUR)]


async def test_a_late_restart_moves_all_that_follows(desk: Desk, ledger: SqlLedger) -> None:
    """1200 rows are more than are read, folded and written in one go."""
    await keep(desk, [bundle(*(reading(hour, total=5000 + hour) for hour in range(0, 1200)))])
    await keep(desk, [bundle(reading(0.3, received=2000, total=20), reading(0.6, received=2000, total=40))])
    assert (await totals(ledger))[-1] == pytest.approx((5000 + 6199) / 100)


async def test_readings_of_an_unknown_device_wait_until_a_point_claims_it(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine
) -> None:
    catalog.remove("WELL-1")
    await keep(desk, [bundle(reading(1, total=200), reading(0, total=100))])
    assert await statuses(engine) == {"PENDING": 2}
    assert await ledger.unclaimed_devices() == ["meter-1"]
    assert await claim(desk, "meter-1") == 0
    catalog.put(point())
    assert await claim(desk, "meter-1") == 2
    assert await totals(ledger) == [1, 2]
    assert await statuses(engine) == {"COMPLETED": 2}
    assert await ledger.unclaimed_devices() == []


async def test_a_reading_without_a_usable_value_has_failed_with_its_reason(desk: Desk, engine: AsyncEngine) -> None:
    broken = RawReading(measured_at=START, received_at=NOW, values={}, problems={"total": "'abc' is no number"})
    await keep(desk, [bundle(broken)])
    async with engine.connect() as connection:
        row = (await connection.execute(text("select status, reason from ledger_raw"))).one()
    assert tuple(row) == ("FAILED", "total: 'abc' is no number")


async def test_a_variable_that_comes_later_is_filled_by_folding_again(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine
) -> None:
    catalog.put(point(variables=()))
    await keep(desk, [bundle(reading(0, total=100))])
    assert await statuses(engine) == {"FAILED": 1}
    catalog.put(point())
    assert await fold_again(desk, "WELL-1") == (1, 1)
    assert await totals(ledger) == [1]
    assert await statuses(engine) == {"COMPLETED": 1}


async def test_folding_again_applies_new_constants_to_the_whole_series(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    await keep(desk, [bundle(*(reading(hour, total=1000 * hour) for hour in range(1300)))])
    catalog.put(point(pulses_per_liter=0.2))
    assert await totals(ledger) == [10 * hour for hour in range(1300)]
    assert await fold_again(desk, "WELL-1") == (1300, 1300)
    assert await totals(ledger) == pytest.approx([5 * hour for hour in range(1300)])


async def test_folding_a_range_again_leaves_what_came_before(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    """The total stays continuous: only what was counted from there on is converted anew."""
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(5)))])
    catalog.put(point(pulses_per_liter=0.2))
    await fold_again(desk, "WELL-1", START + 3 * HOUR)
    assert await totals(ledger) == pytest.approx([0, 1, 2, 2.5, 3])


@pytest.mark.parametrize("hours", [ROWS_AT_ONCE, 2 * ROWS_AT_ONCE, ROWS_AT_ONCE + 1])
async def test_folding_a_range_again_reaches_what_comes_after_it_however_many_rows_it_has(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, hours: int
) -> None:
    after = 3
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(hours + after)))])
    catalog.put(changed_at(hours, 0.2, 0.1))
    assert (await fold_again(desk, "WELL-1", None, START + hours * HOUR))[0] == hours
    expected = [0.5 * hour for hour in range(hours)] + [0.5 * (hours - 1) + 1 + later for later in range(after)]
    assert await totals(ledger) == pytest.approx(expected)


def changed_at(hour: float, before: float, after: float) -> Point:
    """A well whose pulse constant changed so many hours after the start."""
    earlier = Version(valid_until=START + hour * HOUR, sampling_minutes=60, variables=point(before).variables)
    return point(after, earlier=(earlier,))


async def test_late_readings_are_converted_by_what_was_valid_when_they_were_measured(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    catalog.put(changed_at(3, 0.1, 0.2))
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in (0, 1, 4)))])
    await keep(desk, [bundle(*(reading(hour, 9, total=100 * hour) for hour in (3, 2)))])
    assert await totals(ledger) == pytest.approx([0, 1, 2, 2.5, 3])


async def test_folding_again_comes_to_what_the_corrected_past_would_have_given(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(1200)))])
    catalog.put(changed_at(2, 0.1, 0.2))
    assert (await fold_again(desk, "WELL-1", START + 2 * HOUR))[0] == 1198
    expected = [0.0, 1.0] + [1 + 0.5 * (hour - 1) for hour in range(2, 1200)]
    assert await totals(ledger) == pytest.approx(expected)
    assert await fold_again(desk, "WELL-1") == (1200, 0)


async def test_what_no_variable_could_use_is_of_use_once_one_was_valid_then(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine
) -> None:
    level = Variable(code="level", type=VariableType.LEVEL)
    catalog.put(point(variables=(level,)))
    await keep(desk, [bundle(reading(0, total=100), reading(5, total=200))])
    assert await statuses(engine) == {"FAILED": 2}
    total = point().variables
    earlier = (Version(valid_until=START + HOUR, sampling_minutes=60, variables=total),)
    catalog.put(point(variables=(level,), earlier=earlier))
    await fold_again(desk, "WELL-1")
    assert await statuses(engine) == {"COMPLETED": 1, "FAILED": 1}


async def test_folding_a_point_that_is_not_there_says_so(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await fold_again(desk, "WELL-9")


async def test_nothing_is_forgotten_when_the_sink_is_away(
    desk: Desk, ledger: SqlLedger, store: MemoryStore, to_store: Teller
) -> None:
    class Away:
        async def write(self, rows: Sequence[SeriesRow]) -> None:
            raise Transient("away")

    await keep(desk, [bundle(reading(0, total=100))])
    with pytest.raises(Transient):
        await store_teller(ledger, Away(), lambda: 0.0).step()
    assert await to_store.step() == 1
    assert await to_store.step() == 0


async def test_a_sink_is_told_by_one_at_a_time(ledger: SqlLedger, engine: AsyncEngine) -> None:
    async with aclosing(SqlLedger(engine)) as another:
        assert await ledger.outbox(Sink.BUS).hold()
        assert await another.outbox(Sink.BUS).hold() is None
        assert await another.outbox(Sink.STORE).hold()
        await ledger.outbox(Sink.BUS).release()
        assert await another.outbox(Sink.BUS).hold()


async def test_who_dies_lets_go_of_the_outbox(ledger: SqlLedger, engine: AsyncEngine) -> None:
    async with aclosing(SqlLedger(engine)) as another:
        assert await ledger.outbox(Sink.BUS).hold()
        await ledger.aclose()
        assert await another.outbox(Sink.BUS).hold()


async def test_a_rebuild_has_its_turn_beside_a_busy_processor(
    desk: Desk, ledger: SqlLedger, engine: AsyncEngine, store: MemoryStore
) -> None:
    to_store = store_teller(ledger, store, time.monotonic)
    await keep(desk, [bundle(reading(0, total=1000))])
    await to_store.step()
    done = asyncio.Event()

    async def keep_busy() -> None:
        hour = 0
        while not done.is_set():
            hour += 1
            await keep(desk, [bundle(reading(hour, total=1000 + hour))])
            await to_store.step()

    async with asyncio.TaskGroup() as tasks, aclosing(SqlLedger(engine)) as another:
        tasks.create_task(keep_busy())
        rebuilt = [progress async for progress in rebuild(another, store)]
        done.set()
    assert rebuilt
    while await to_store.step():
        pass
    stored = [row.fields["total"] async for row in store.rows("WELL-1")]
    assert stored == await totals(ledger)


async def test_what_was_told_lately_is_told_again_to_a_broker_that_may_have_forgotten_it(
    desk: Desk, ledger: SqlLedger, listener: Listener, engine: AsyncEngine
) -> None:
    seconds = 0.0
    teller = bus_teller(ledger, listener, lambda: seconds, lambda: listener.incarnation)
    for hour in (0, 1):
        seconds = hour * BUS_REMEMBERS_S / 2
        await keep(desk, [bundle(reading(hour, total=100 + hour))])
        assert await teller.step() == 1
    seconds = BUS_REMEMBERS_S
    assert await teller.step() == 0
    listener.incarnation += 1
    await keep(desk, [bundle(reading(2, total=102))])
    assert await teller.step() == 1
    hours = [(message.readings[0].measured_at - START) // HOUR for message in listener.processed]
    assert hours == [0, 1, 1, 2]
    assert await teller.step() == 0
    async with engine.connect() as connection:
        left = await connection.execute(text("select count(*) from processor_outbox where sink = 'bus'"))
        assert left.scalar_one() == 0


@pytest.mark.parametrize("hour", [0.5, 3], ids=["late", "next"])
async def test_a_ledger_that_remembers_finds_out_that_another_was_faster(
    catalog: MemoryCatalog, engine: AsyncEngine, hour: float
) -> None:
    """What comes next is one statement, which looks by itself; what comes late begins a transaction."""
    async with (
        aclosing(SqlLedger(engine, is_alone=True)) as first,
        aclosing(SqlLedger(engine, is_alone=True)) as second,
    ):
        await keep(Desk(first, catalog), [bundle(reading(1, total=1100))])
        await keep(Desk(second, catalog), [bundle(reading(2, total=1200))])
        coming = [bundle(reading(hour, total=1000 + 100 * hour))]
        if engine.dialect.name == "postgresql":
            with pytest.raises(Overtaken):
                await keep(Desk(first, catalog), coming)
            assert await totals(second) == [11.0, 12.0]
        await keep(Desk(first, catalog), coming)
        assert await totals(second) == sorted([11.0, 12.0, 10 + hour])


async def test_many_readings_at_once_are_kept_like_few(desk: Desk, ledger: SqlLedger, engine: AsyncEngine) -> None:
    """Many take another way into the database."""
    many = [reading(hour, total=1000 + hour) for hour in range(3 * COPIED_FROM)]
    for readings in (many[: 2 * COPIED_FROM], many[COPIED_FROM:], many):
        await keep(desk, [bundle(*readings)])
    assert await totals(ledger) == [(1000 + hour) / 100 for hour in range(3 * COPIED_FROM)]
    assert await statuses(engine) == {"COMPLETED": 3 * COPIED_FROM}


async def test_the_projection_can_be_dropped_and_rebuilt(
    desk: Desk, ledger: SqlLedger, store: MemoryStore, to_store: Teller
) -> None:
    await keep(
        desk, [bundle(reading(0, total=1000), reading(1, total=0), reading(2, total=-999), reading(3, total=1100))]
    )
    await to_store.step()
    before = [row async for row in store.rows("WELL-1")]
    await store.drop()
    assert [progress async for progress in rebuild(ledger, store)] == [("WELL-1", 4)]
    assert [row async for row in store.rows("WELL-1")] == before
    assert len(before) == 3


async def test_raw_payloads_are_kept_30_days_and_readings_in_the_ledger_longer(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine, store: MemoryStore
) -> None:
    await keep(
        desk, [bundle(reading(0, received=0, total=100)), bundle(reading(0, received=0, x=1), device="stranger")]
    )
    assert (await tidy(ledger, store, NOW + timedelta(days=30)))["raw"] == 0
    assert (await tidy(ledger, store, NOW + timedelta(days=30, seconds=1)))["raw"] == 1
    assert await totals(ledger) == [1]
    async with engine.connect() as connection:
        left = (await connection.execute(text("select device, payload from ledger_raw"))).all()
    assert [tuple(row) for row in left] == [("stranger", "")]


async def test_a_crowded_unit_of_a_window_loses_what_is_older_than_7_days(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine, store: MemoryStore
) -> None:
    now = START + timedelta(hours=300)
    rows = [reading(hour, total=hour) for hour in range(300)]
    await keep(desk, [bundle(*rows, device="unit-1", inlet=Inlet.WINDOW)])
    await keep(desk, [bundle(*rows[:5], device="unit-2", inlet=Inlet.WINDOW)])
    assert await cap(ledger, catalog, store, 300, now) == 0
    assert await cap(ledger, catalog, store, 299, now) == 300 - 168
    async with engine.connect() as connection:
        counted = await connection.execute(text("select unit, count(*) from window_rows group by unit order by unit"))
        assert [tuple(row) for row in counted] == [("unit-1", 168), ("unit-2", 5)]


async def test_a_point_is_capped_only_if_it_says_so(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, store: MemoryStore, to_store: Teller
) -> None:
    now = START + timedelta(hours=300)
    await keep(desk, [bundle(*(reading(hour, total=hour) for hour in range(300)))])
    while await to_store.step():
        pass
    assert await cap(ledger, catalog, store, 10, now) == 0
    catalog.put(point(max_rows=10))
    assert await cap(ledger, catalog, store, 10, now) == 300 - 168
    assert len(await totals(ledger)) == 300


async def test_the_collector_keeps_the_latest_version_of_each_row(desk: Desk, engine: AsyncEngine) -> None:
    await keep(desk, [bundle(reading(0, received=2, a=2), device="unit-1", inlet=Inlet.WINDOW)])
    await keep(desk, [bundle(reading(0, received=1, a=1), device="unit-1", inlet=Inlet.WINDOW)])
    await keep(desk, [bundle(reading(1, a=7), device="unit-1")])
    async with engine.connect() as connection:
        rows = (await connection.execute(text("select unit, row_json from window_rows"))).all()
    assert [tuple(row) for row in rows] == [("unit-1", '{"a":2}')]


async def test_a_rejected_payload_is_kept_once_whatever_is_in_it(ledger: SqlLedger, engine: AsyncEngine) -> None:
    nasty = Rejected(
        id="r1",
        device="d",
        received_at=NOW,
        inlet=Inlet.UPLINK,
        topic="t",
        reason="a\x00b",
        field="\x00",
        payload="\x00",
    )
    await keep_rejected(ledger, [nasty, nasty])
    await keep_rejected(ledger, [nasty])
    assert await mark_replayed(ledger, "r1", NOW)
    assert not await mark_replayed(ledger, "r2", NOW)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("select payload, replayed_at is not null from ledger_rejected"))).all()
    assert [(row[0], bool(row[1])) for row in rows] == [("\\u0000", True)]
