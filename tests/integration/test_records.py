"""Records of dynamic schemas: however readings come, records are what one look at all rows of the ledger says."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.domain.catalog import Counter, Limits, Point, Variable, VariableType
from caudal.common.domain.readings import Inlet
from caudal.common.domain.schemas import Aggregate, GroupBy, RecordPeriod, Schema, SchemaField, SchemaRule
from caudal.common.ports import Outgoing
from caudal.common.settings import SqlSettings
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.adapters.sql_records import SqlRecordBook
from caudal.processor.domain.records import RecordPlan
from caudal.processor.handlers import recording
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.handlers.recording import RecordDesk, listen, order, record_teller
from caudal.processor.ports import RecordOrder

NOW = datetime(2026, 10, 1, tzinfo=UTC)
START = datetime(2026, 9, 5, 22, tzinfo=UTC)
"""Chile puts its clocks forward at the end of this day; it began at four, and the next begins at four, too."""
VARIABLES = (
    Variable(code="flow", type=VariableType.FLOW, limits=Limits()),
    Variable(code="total", type=VariableType.TOTALIZER, counter=Counter(max_flow_lps=1e9), limits=Limits()),
)
POINTS = tuple(
    Point(code=f"well-{name}", device=f"meter-{name}", client=client, variables=VARIABLES)
    for name, client in (("a", "north"), ("b", "north"), ("c", "south"), ("d", None))
)
TABLES = ["rows", "heads", "raw", "outbox", "records", "record_parts", "window_rows"]


def schema(**changes: Any) -> Schema:
    """Every aggregate, a calculated field and a rule."""
    fields = [SchemaField(code=each.value, variable="flow", aggregate=each) for each in Aggregate]
    fields += [
        SchemaField(code="volume", variable="total", aggregate=Aggregate.INCREASE),
        SchemaField(code="share", expression="volume / sum"),
    ]
    whole: dict[str, Any] = {
        "code": "daily",
        "period": RecordPeriod.DAY,
        "time_zone": "America/Santiago",
        "fields": tuple(fields),
        "rules": (SchemaRule(code="low", expression="max < 5"),),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Schema(**(whole | changes))


class Shelf:
    """Schemas that a test writes by hand, and what is told of them."""

    def __init__(self, *schemas: Schema) -> None:
        self.schemas = list(schemas)
        self.told: list[Outgoing] = []

    async def active(self) -> list[Schema]:
        return self.schemas

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.told += messages


class House:
    """A processor and what it computes."""

    def __init__(self, engine: AsyncEngine, *schemas: Schema) -> None:
        self.engine = engine
        self.ledger = SqlLedger(engine)
        self.catalog = MemoryCatalog(POINTS)
        self.shelf = Shelf(*schemas)
        book = SqlRecordBook(engine)
        self.records = RecordDesk(book, self.ledger, self.shelf, self.catalog, self.shelf, FakeClock(NOW))
        self.desk = Desk(self.ledger, self.catalog)
        self.teller = record_teller(self.records, lambda: 0.0)

    async def keep(self, point: str, *readings: RawReading) -> None:
        """Take readings into the ledger."""
        device = self.catalog.points[point].device
        await keep(self.desk, [RawReadings(device=device, inlet=Inlet.UPLINK, readings=list(readings))])

    async def compute(self) -> None:
        """All that waits."""
        while await self.teller.step():
            pass
        await self.teller.step()

    async def told(self) -> list[dict[str, Any]]:
        """All records, in order."""
        query = "select * from processor_records order by schema, group_key, starts_at"
        async with self.engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(text(query))).mappings()]

    async def shown(self) -> dict[tuple[str, str], tuple[str, str, str, int]]:
        """By group and start what a record says, as it is stored."""
        return {
            (row["group_key"], str(row["starts_at"])): tuple(  # type: ignore[misc]
                row[name] for name in ("values_json", "flags_json", "reasons_json", "readings")
            )
            for row in await self.told()
        }

    async def rows(self) -> list[tuple[str, datetime, dict[str, float]]]:
        """Point, instant and values of all rows of the ledger."""
        async with self.records.book.unit() as unit:
            return [
                (point, instant.at, instant.values)
                for point in await self.ledger.points()
                for instant in await unit.instants(point, START - timedelta(days=400), NOW + timedelta(days=400))
            ]


def reading(hour: float, received: int = 0, **values: float) -> RawReading:
    at = START + timedelta(hours=hour)
    return RawReading(measured_at=at, received_at=NOW + timedelta(seconds=received), values=values)


# ---------------------------------------------------------------- what records should say, in one look at all rows


def clock_start(at: datetime, period: RecordPeriod) -> datetime:
    """What the clock on the wall says, by going back until it says something else."""
    zone, step = ZoneInfo("America/Santiago"), timedelta(minutes=30)
    parts = {RecordPeriod.HOUR: 4, RecordPeriod.DAY: 3, RecordPeriod.MONTH: 2}[period]

    def face(moment: datetime) -> tuple[object, ...]:
        local = moment.astimezone(zone)
        hour = (local.utcoffset(),) if period is RecordPeriod.HOUR else ()
        return (*local.timetuple()[:parts], *hour)

    start = at.replace(minute=at.minute // 30 * 30, second=0, microsecond=0)
    while face(start - step) == face(at):
        start -= step
    return start


def expected(of: Schema, rows: Iterable[tuple[str, datetime, dict[str, float]]]) -> dict[tuple[str, datetime], Any]:
    """Group and start to the values of the fields."""
    clients = {point.code: point.client for point in POINTS}
    flows: dict[tuple[str, datetime], list[tuple[datetime, str, float]]] = defaultdict(list)
    totals: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    members: dict[tuple[str, datetime], set[str]] = defaultdict(set)
    for point, at, values in rows:
        if of.takes(point, clients[point]) and values.keys() & {"flow", "total"}:
            group = point if of.group_by is GroupBy.POINT else clients[point] or ""
            key = (group, clock_start(at, of.period))
            members[key].add(point)
            flows[key] += [(at, point, values["flow"])] if "flow" in values else []
            totals[point] += [(at, values["total"])] if "total" in values else []
    return {
        key: looked_at(of, key[1], flows[key], [totals[p] for p in sorted(points)]) for key, points in members.items()
    }


def looked_at(
    of: Schema, start: datetime, flows: list[tuple[datetime, str, float]], totals: list[list[tuple[datetime, float]]]
) -> dict[str, float | None]:
    numbers = [value for _, _, value in sorted(flows)]
    grown = [growth for track in totals if (growth := growth_of(of, start, sorted(track))) is not None]
    sums = math.fsum(numbers)
    by_point: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for at, point, value in sorted(flows):
        by_point[point].append((at, value))
    told: dict[str, float | None] = {
        "mean": sums / len(numbers) if numbers else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "sum": sums if numbers else None,
        "last": numbers[-1] if numbers else None,
        "count": float(len(numbers)),
        "volume": math.fsum(grown) if grown else None,
    }
    told["share"] = told["volume"] / sums if told["volume"] is not None and numbers and sums else None
    return told


def growth_of(of: Schema, start: datetime, track: list[tuple[datetime, float]]) -> float | None:
    part = RecordPeriod.HOUR if of.period is RecordPeriod.HOUR else RecordPeriod.DAY
    earliest = start - timedelta(days=31)
    mine = [value for at, value in track if clock_start(at, of.period) == start]
    before = [value for at, value in track if at < start and clock_start(at, part) >= earliest]
    return mine[-1] - (before[-1] if before else mine[0]) if mine else None


# ---------------------------------------------------------------- the law


@pytest.fixture(scope="module")
def runner() -> Any:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("records")
    is_sqlite = request.param == "sqlite"
    url = f"sqlite+aiosqlite:///{folder}/ledger.db" if is_sqlite else request.getfixturevalue("postgres").database()
    engine = open_engine(SqlSettings(database_url=url))
    runner.run(migrate(engine, "caudal.processor", "alembic_version_processor"))
    yield engine
    runner.run(engine.dispose())


async def empty(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for table in TABLES:
            await connection.execute(text(f"delete from processor_{table}"))


sent = st.lists(
    st.tuples(
        st.sampled_from([point.code for point in POINTS]),
        st.builds(
            lambda slot, received, values: reading(slot * 3.5, received, **values),
            st.one_of(st.integers(0, 8), st.integers(0, 300)),
            st.integers(0, 50),
            st.fixed_dictionaries(
                {},
                optional={
                    "flow": st.sampled_from([0.0, 0.1, 2.5, 7.0]),
                    "total": st.sampled_from([100.0, 100.5, 120.0, 90_000.0]),
                },
            ),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


def test_any_order_of_arrival_gives_the_records_of_one_look(engine: AsyncEngine, runner: asyncio.Runner) -> None:
    @settings(max_examples=40, deadline=None)
    @given(sent, st.sampled_from(RecordPeriod), st.sampled_from(GroupBy))
    def law(deliveries: list[tuple[str, RawReading, bool]], period: RecordPeriod, group_by: GroupBy) -> None:
        runner.run(follows(engine, schema(period=period, group_by=group_by), deliveries))

    law()


async def follows(engine: AsyncEngine, of: Schema, deliveries: list[tuple[str, RawReading, bool]]) -> None:
    await empty(engine)
    house = House(engine, of)
    assert await listen(house.records)
    for point, read, is_computed in deliveries:
        await house.keep(point, read)
        if is_computed:
            await house.teller.step()
    await house.compute()
    found = {
        (row["group_key"], _instant(row["starts_at"])): decode_json(row["values_json"]) for row in await house.told()
    }
    wanted = expected(of, await house.rows())
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        for name, value in values.items():
            assert found[key][name] == pytest.approx(value), (key, name)
    as_they_came = await house.shown()
    await order(house.records, [RecordOrder(schema="daily")])
    await house.compute()
    assert await house.shown() == as_they_came, "computed again they are the same to the last digit"
    await house.ledger.aclose()


def test_a_schema_that_was_changed_has_the_records_of_one_that_is_new(
    engine: AsyncEngine, runner: asyncio.Runner
) -> None:
    zones, owned = st.sampled_from(["America/Santiago", "Asia/Kathmandu"]), st.sampled_from([(), ("well-b", "well-c")])
    schemas = st.builds(
        lambda period, group_by, zone, points: schema(period=period, group_by=group_by, time_zone=zone, points=points),
        st.sampled_from(RecordPeriod),
        st.sampled_from(GroupBy),
        zones,
        owned,
    )

    @settings(max_examples=10, deadline=None)
    @given(sent, schemas, schemas)
    def law(deliveries: list[tuple[str, RawReading, bool]], before: Schema, after: Schema) -> None:
        runner.run(changes(engine, before, after, deliveries))

    law()


async def changes(
    engine: AsyncEngine, before: Schema, after: Schema, deliveries: list[tuple[str, RawReading, bool]]
) -> None:
    await empty(engine)
    house = House(engine, before)
    assert await listen(house.records)
    half = len(deliveries) // 2
    for number, (point, read, is_computed) in enumerate(deliveries):
        if number == half:
            await house.compute()
            house.shelf.schemas = [after]
        await house.keep(point, read)
        if is_computed:
            await house.teller.step()
    await order(house.records, [RecordOrder(schema="daily")])
    await house.compute()
    found = await house.shown()
    await house.records.book.forget("daily")
    await order(house.records, [RecordOrder(schema="daily")])
    await house.compute()
    assert found == await house.shown()
    await house.ledger.aclose()


async def recomputed_at_once(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records are held in memory each time when four points of twenty days are computed again."""
    held: list[int] = []

    async def write_all(desk: RecordDesk, plan: RecordPlan, dirty: Collection[tuple[str, datetime]]) -> None:
        held.append(len(dirty))
        await plain(desk, plan, dirty)

    plain = recording._write_all
    await empty(engine)
    house = House(engine, schema(period=RecordPeriod.DAY))
    assert await listen(house.records)
    for point in POINTS:
        await house.keep(point.code, *(reading(24 * day, flow=1) for day in range(20)))
    await house.compute()
    monkeypatch.setattr(recording, "_write_all", write_all)
    await order(house.records, [RecordOrder(schema="daily")])
    await house.compute()
    assert len(await house.told()) == 80
    await house.ledger.aclose()
    return held


def test_no_more_records_are_held_than_one_point_has(
    engine: AsyncEngine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(runner.run(recomputed_at_once(engine, monkeypatch))) == 20


def _instant(stored: datetime | str) -> datetime:
    return stored.astimezone(UTC) if isinstance(stored, datetime) else datetime.fromisoformat(stored)


def decode_json(text: str) -> dict[str, Any]:
    return decode(text.encode(), dict[str, Any])
