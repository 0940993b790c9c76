"""The one idea: what is stored is a pure function of the readings received and of the configuration.

Readings are delivered in any order, some twice, in batches of any size, by two replicas that crash between any two
steps and are given again what they had not acknowledged. Ledger, series and what a listener remembers of the published
events must come out as if everything had come in order, once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.bus import codec
from caudal.common.bus.messages import ProcessedReadings, ProcessedValue, RawReading, RawReadings
from caudal.common.bus.topics import TELEMETRY_PROCESSED
from caudal.common.domain.catalog import Counter, CounterKind, Point, PulseMeter, Variable, VariableType, Version
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Outgoing, SeriesRow
from caudal.common.settings import SqlSettings
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.domain.ledger import digest_of, measured_in, merged
from caudal.processor.domain.plans import timeline_for
from caudal.processor.domain.weave import Weave
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.handlers.telling import bus_teller, store_teller
from caudal.processor.ports import Overtaken
from fakes.memory_ledger import MemoryLedger

START = datetime(2026, 3, 2, tzinfo=UTC)


def variables(pulses_per_liter: float, depth_m: float = 60.0, **counter: Any) -> tuple[Variable, ...]:
    """A pulse meter with its flow, and a level."""
    meter = PulseMeter(pulses_per_liter=pulses_per_liter)
    settings = {"meter": meter, "register_bits": 16, "max_flow_lps": 100} | counter
    return (
        Variable(code="total", type=VariableType.TOTALIZER, counter=Counter(**settings)),
        Variable(code="flow", type=VariableType.FLOW),
        Variable(code="level", type=VariableType.LEVEL, sensor_depth_m=depth_m),
    )


POINT = Point(code="WELL-1", device="meter-1", provider="twin", variables=variables(0.1))
CHANGED = replace(
    POINT,
    variables=variables(0.3, 80.0),
    earlier=(
        Version(valid_until=START + timedelta(hours=2), sampling_minutes=60, variables=variables(0.1)),
        Version(valid_until=START + timedelta(hours=4, minutes=30), sampling_minutes=20, variables=variables(0.2)),
        Version(valid_until=START + timedelta(hours=5), sampling_minutes=60, variables=variables(0.2)[1:]),
        Version(
            valid_until=START + timedelta(hours=7),
            sampling_minutes=60,
            variables=variables(0.2, kind=CounterKind.DELTA),
        ),
    ),
)
"""The same with other constants, without a totalizer for a while, and counting otherwise, in mid-series."""
TABLES = ("processor_raw", "processor_rows", "processor_heads", "processor_outbox", "processor_window_rows")


class Crash(Exception):
    """kill -9 between two steps."""


class Fate:
    """Says after which steps the process dies."""

    def __init__(self, crashes: Sequence[int]) -> None:
        self._left = list(crashes)
        self._until = self._left.pop(0) if self._left else -1

    def step(self) -> None:
        """One step; may be the last."""
        self._until -= 1
        if self._until == 0:
            self._until = self._left.pop(0) if self._left else -1
            raise Crash


class MortalUnit:
    """A unit whose process may die before each call."""

    def __init__(self, unit: Any, fate: Fate) -> None:
        self._unit = unit
        self._fate = fate

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self._fate.step()
        return getattr(self._unit, name)


class MortalLedger:
    """A ledger whose process may die before each call and right after each commit."""

    def __init__(self, inner: Any, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate
        self.outbox = inner.outbox
        self.aclose = inner.aclose

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Any]:
        async with self._inner.unit() as unit:
            yield MortalUnit(unit, self._fate)
        self._fate.step()


class World:
    """The store and a listener on the bus, both of which see what was done before a crash."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.series: dict[datetime, dict[str, float]] = {}
        self.heard: dict[datetime, dict[str, ProcessedValue]] = {}

    async def write(self, rows: Sequence[SeriesRow]) -> None:
        """The store's promise, in memory."""
        for row in rows:
            kept = {k: v for k, v in self.series.get(row.at, {}).items() if k not in row.erased}
            self.series[row.at] = kept | row.fields
            self._fate.step()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """The bus: a listener keeps the last version of each instant."""
        for message in messages:
            if TELEMETRY_PROCESSED.parse(message.topic):
                for reading in codec.decode(message.payload, ProcessedReadings).readings:
                    self.heard[reading.measured_at] = reading.values
            self._fate.step()


counts = st.sampled_from([-3200, -5, 0, 0, 5, 40, 950, 1000, 1005, 1010, 1500, 9_000_000, 65_500, 65_530])
values = st.fixed_dictionaries(
    {},
    optional={
        "total": counts,
        "flow": st.sampled_from([0, 0.5, 2.5, -1.0, 5000]),
        "level": st.sampled_from([3.5, 20, 70, 96, -999]),
        "unknown": st.just(1),
    },
)
totals = st.fixed_dictionaries({"total": counts})
readings = st.builds(
    lambda slot, received, values, broken: RawReading(
        measured_at=START + timedelta(minutes=slot * 60),
        received_at=START + timedelta(days=1, seconds=received),
        values=values,
        problems={"level": "no number"} if broken and "level" not in values else {},
    ),
    st.integers(0, 9),
    st.integers(0, 20),
    st.one_of(totals, values),
    st.booleans(),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[RawReading], list[list[RawReading]]]:
    """Readings, and batches in which they come: permuted, some twice."""
    sent = draw(st.lists(readings, min_size=1, max_size=14))
    again = draw(st.lists(st.sampled_from(sent), max_size=5))
    order = draw(st.permutations(sent + again))
    batches: list[list[RawReading]] = [[]]
    for reading in order:
        batches[-1].append(reading)
        if draw(st.booleans()):
            batches.append([])
    return sent, [batch for batch in batches if batch]


class Replica:
    """A processor; what it remembers dies with it."""

    def __init__(self, ledger: Any, point: Point, fate: Fate, world: World) -> None:
        self._ledger = MortalLedger(ledger, fate)
        self.desk = Desk(self._ledger, MemoryCatalog([point]))
        self._tellers = (
            bus_teller(self._ledger, world, lambda: 0.0, lambda: 0),
            store_teller(self._ledger, world, lambda: 0.0),
        )

    async def tell(self) -> int:
        """One round of both sinks."""
        return sum([await teller.step() for teller in self._tellers])

    async def die(self) -> None:
        """Its connections end with it."""
        await self._ledger.aclose()


async def deliver(books: "Books", point: Point, batches: list[list[RawReading]], fate: Fate, world: World) -> None:
    """Two replicas take turns; what was not acknowledged is delivered again, to the other one."""
    replicas = [Replica(books.opened(), point, fate, world) for _ in range(2)]
    queue = [[bundle(batch)] for batch in batches]
    turn = 0
    while queue:
        turn += 1
        try:
            await keep(replicas[turn % 2].desk, queue[0])
            queue.pop(0)
            if turn % 3 == 0:
                await replicas[turn % 2].tell()
        except Overtaken:
            continue
        except Crash:
            await replicas[turn % 2].die()
            replicas[turn % 2] = Replica(books.opened(), point, fate, world)
    await replicas[1].die()
    await tell_all(replicas[0])
    await replicas[0].die()


async def tell_all(replica: Replica) -> None:
    """Rounds until nothing is left, through crashes."""
    while True:
        try:
            if not await replica.tell():
                return
        except Crash:
            continue


def bundle(batch: Sequence[RawReading]) -> RawReadings:
    """As ingest sends them."""
    return RawReadings(device=POINT.device, inlet=Inlet.WINDOW, window="w", readings=list(batch))


class Books(Protocol):
    """A ledger that can be emptied, and compared byte for byte."""

    async def empty(self) -> None:
        """Forget all."""
        ...

    def opened(self) -> Any:
        """The ledger, as another replica opens it."""
        ...

    async def dump(self) -> Any:
        """All it holds."""
        ...


class MemoryBooks(Books):
    """In memory."""

    async def empty(self) -> None:
        self._ledger = MemoryLedger()

    def opened(self) -> Any:
        return self._ledger.replica()

    async def dump(self) -> Any:
        tables = self._ledger.tables
        assert not tables.outbox
        return tables.raw, tables.rows, tables.heads, tables.windows


class SqlBooks(Books):
    """In SQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def close(self) -> None:
        """Give back the connections."""
        await self._engine.dispose()

    async def empty(self) -> None:
        async with self._engine.begin() as connection:
            for table in TABLES:
                await connection.execute(text(f"delete from {table}"))

    def opened(self) -> Any:
        """Each believes that it is alone, as two do while one takes the other's place."""
        return SqlLedger(self._engine, is_alone=True)

    async def dump(self) -> Any:
        async with self._engine.connect() as connection:
            found = {t: (await connection.execute(text(f"select * from {t}"))).all() for t in TABLES}
        assert not found["processor_outbox"]
        return {table: sorted(tuple(row) for row in rows) for table, rows in found.items()}


def from_scratch(point: Point, sent: Sequence[RawReading]) -> dict[datetime, dict[str, ProcessedValue]]:
    """The oracle: everything known at once, folded in one pass."""
    instants: dict[datetime, dict[str, Any]] = {}
    for reading in sent:
        delivered = measured_in(reading, digest_of(POINT.device, reading))
        if delivered:
            instants[reading.measured_at] = merged(instants.get(reading.measured_at, {}), delivered)
    weave = Weave(timeline_for(point))
    for at in sorted(instants):
        weave.fold(at, None, instants[at], POINT.device, "twin")
    return {change.after.at: change.after.processed for change in weave.take_all()}


@pytest.fixture(scope="module")
def runner() -> Any:
    """One event loop for all examples."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def sql_books(request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A ledger of either kind."""
    folder: Path = tmp_path_factory.mktemp("ledger")
    is_sqlite = request.param == "sqlite"
    url = f"sqlite+aiosqlite:///{folder}/ledger.db" if is_sqlite else request.getfixturevalue("postgres").database()
    engine = open_engine(SqlSettings(database_url=url))
    runner.run(migrate(engine, "caudal.processor", "alembic_version_processor"))
    books = SqlBooks(engine)
    yield books
    runner.run(books.close())


async def check(
    books: Books, point: Point, sent: list[RawReading], batches: list[list[RawReading]], crashes: list[int]
) -> None:
    """Deliver in order and at peace, then in disorder and through crashes; compare with one another and the oracle."""
    calm = World(Fate([]))
    in_order = sorted(sent, key=lambda reading: (reading.measured_at, reading.received_at))
    await books.empty()
    await deliver(books, point, [[reading] for reading in in_order], Fate([]), calm)
    expected = await books.dump()
    fate = Fate(crashes)
    stormy = World(fate)
    await books.empty()
    await deliver(books, point, batches, fate, stormy)
    assert await books.dump() == expected
    processed = from_scratch(point, sent)
    assert stormy.heard == calm.heard == processed
    stored = {at: {k: v.value for k, v in row.items() if v.value is not None} for at, row in processed.items()}
    assert {at: row for at, row in stormy.series.items() if row} == {at: row for at, row in stored.items() if row}


crash_plans = st.lists(st.integers(1, 25), max_size=6)


points = st.sampled_from([POINT, CHANGED])


@settings(max_examples=700, deadline=None)
@given(point=points, given_=deliveries(), crashes=crash_plans)
def test_any_order_repetition_split_and_crash_gives_the_same_ledger_series_and_events(
    runner: asyncio.Runner,
    point: Point,
    given_: tuple[list[RawReading], list[list[RawReading]]],
    crashes: list[int],
) -> None:
    runner.run(check(MemoryBooks(), point, *given_, crashes))


@settings(max_examples=40, deadline=None)
@given(point=points, given_=deliveries(), crashes=crash_plans)
def test_the_same_holds_in_sql(
    runner: asyncio.Runner,
    sql_books: Books,
    point: Point,
    given_: tuple[list[RawReading], list[list[RawReading]]],
    crashes: list[int],
) -> None:
    runner.run(check(sql_books, point, *given_, crashes))
