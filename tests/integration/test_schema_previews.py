"""A schema that is tried says what it would say if it were kept, and nothing of it is kept."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.bus import topics
from caudal.common.bus.codec import decode, encode
from caudal.common.bus.messages import Command, Result
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.schemas import Aggregate, GroupBy, RecordPeriod, Schema, SchemaField, SchemaRule
from caudal.common.ports import Delivery
from caudal.common.settings import SqlSettings
from caudal.processor.adapters.sql_records import _SqlRecordUnit
from caudal.processor.domain.records import Record, record_of, record_plan
from caudal.processor.entrypoints.schemas import SchemaEntrypoint
from caudal.processor.handlers import previewing
from caudal.processor.handlers.previewing import preview
from caudal.processor.handlers.recording import listen, order
from caudal.processor.ports import RecordOrder, Sink
from integration import test_records as records
from integration.test_records import NOW, POINTS, START, House, reading

FROM, TO = START + timedelta(hours=24), START + timedelta(hours=60)


def schema(**changes: Any) -> Schema:
    """One whose fields have names that may be kept."""
    fields = tuple(SchemaField(code=f"flow_{each}", variable="flow", aggregate=each) for each in Aggregate)
    volume = SchemaField(code="volume", variable="total", aggregate=Aggregate.INCREASE)
    share = SchemaField(code="share", expression="volume / flow_sum")
    rule = SchemaRule(code="low", expression="flow_max < 5")
    return records.schema(**{"fields": (*fields, volume, share), "rules": (rule,)} | changes)


def asked(of: Schema, **changes: Any) -> dict[str, Any]:
    params = {"schema": of, "points": [point.code for point in POINTS], "start": FROM, "end": TO}
    plain: dict[str, Any] = msgspec.to_builtins(params | changes)
    return plain


@pytest.fixture
async def house(tmp_path: Path) -> Any:
    """Four points that were measured every five hours for four days."""
    engine = open_engine(SqlSettings(database_url=f"sqlite+aiosqlite:///{tmp_path}/ledger.db"))
    await migrate(engine, "caudal.processor", "alembic_version_processor")
    house = House(engine)
    for place, point in enumerate(POINTS):
        rows = [reading(hour, flow=hour % 7, total=100.0 * place + hour) for hour in range(place, 96, 5)]
        await house.keep(point.code, *rows)
    yield house
    await engine.dispose()


@pytest.mark.parametrize("group_by", GroupBy)
@pytest.mark.parametrize("period", RecordPeriod)
async def test_what_is_tried_is_what_is_kept(house: House, period: RecordPeriod, group_by: GroupBy) -> None:
    of = schema(period=period, group_by=group_by)
    tried = await preview(house.records, asked(of))
    assert await house.told() == []
    house.shelf.schemas = [of]
    house.ledger.listen(Sink.RECORDS, True)
    await order(house.records, [RecordOrder(schema=of.code)])
    await house.compute()
    kept = {
        (row["group_key"], datetime.fromisoformat(row["starts_at"])): (
            msgspec.json.decode(row["values_json"]),
            row["readings"],
        )
        for row in await house.told()
    }
    found = {
        (each["group"], datetime.fromisoformat(each["starts_at"])): (each["values"], each["readings"])
        for each in tried["records"]
    }
    assert {key: kept.get(key) for key in found} == found
    assert (tried["left_off"], tried["points"]) == (0, [point.code for point in POINTS])
    within = [start for _, start in kept if FROM <= start < TO]
    assert len(found) >= max(len(within), 3)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"end": FROM}, "to"), ({"end": FROM + timedelta(days=32)}, "to"), ({"schema": {"code": "x"}}, "schema")],
)
async def test_what_cannot_be_tried_is_named(house: House, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await preview(house.records, asked(schema()) | msgspec.to_builtins(changes))
    assert refused.value.field == field


async def test_what_is_too_much_is_refused_or_left_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = 0

    def counted(*given: Any) -> Record:
        nonlocal computed
        computed += 1
        return record_of(*given)

    monkeypatch.setattr(previewing, "record_of", counted)
    monkeypatch.setattr(previewing, "MAX_BYTES", 1000)
    tried = await preview(house.records, asked(schema(period=RecordPeriod.HOUR)))
    assert 1 <= len(tried["records"]) <= 10
    assert computed == len(tried["records"]) + 1, "nothing is computed that nobody is told"
    assert tried["left_off"] > 10
    monkeypatch.setattr(previewing, "MAX_ROWS", 10)
    with pytest.raises(InvalidInput, match="shorter time"):
        await preview(house.records, asked(schema()))


async def kept_by(house: House, of: Schema) -> dict[tuple[str, datetime], Any]:
    """Values of the records that are kept, by group and start."""
    house.shelf.schemas = [of]
    house.ledger.listen(Sink.RECORDS, True)
    await order(house.records, [RecordOrder(schema=of.code)])
    await house.compute()
    return {
        (row["group_key"], datetime.fromisoformat(row["starts_at"])): msgspec.json.decode(row["values_json"])
        for row in await house.told()
    }


async def test_what_was_long_before_a_record_counts_in_neither(house: House) -> None:
    """The last value before March is of 10 January: more than 31 days before, and within what is looked at."""
    await house.keep(POINTS[0].code, *(reading(24 * day, total=1000.0 + day) for day in (127, 181, 182)))
    of = schema(period=RecordPeriod.MONTH)
    first, last = START + timedelta(days=148), START + timedelta(days=178)
    assert (first.month, last.month) == (1, 3)
    tried = await preview(house.records, asked(of, start=first, end=last))
    kept = await kept_by(house, of)
    months = {(each["group"], datetime.fromisoformat(each["starts_at"])): each["values"] for each in tried["records"]}
    assert [months[key]["volume"] for key in sorted(months)] == [0, 1]
    assert {key: kept[key] for key in months} == months


async def test_no_more_is_read_than_may_be(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    async def instants(self: Any, *asked: Any) -> list[Any]:
        found: list[Any] = await plain(self, *asked)
        read.append(len(found))
        return found

    plain = _SqlRecordUnit.instants
    monkeypatch.setattr(_SqlRecordUnit, "instants", instants)
    monkeypatch.setattr(previewing, "MAX_ROWS", 3)
    with pytest.raises(InvalidInput, match="more than 3 readings"):
        await preview(house.records, asked(schema()))
    assert read == [4]


async def test_a_month_is_not_read_for_a_variable_that_the_point_never_had(house: House) -> None:
    growing = tuple(SchemaField(code=code, variable=code, aggregate=Aggregate.INCREASE) for code in ("total", "other"))
    plan = record_plan(schema(fields=growing, rules=()))
    point = await house.records.catalog.point(POINTS[0].code)
    assert point is not None
    assert plan.growing_of(point) == {"total"}


async def test_an_order_is_answered_and_nothing_is_noted_from_then_on(house: House) -> None:
    await listen(house.records)
    entrypoint = SchemaEntrypoint(house.records, asyncio.Lock, lambda: None)
    sent = []
    for name, params in (("good", asked(schema())), ("bad", asked(schema(), end=FROM))):
        command = Command(id=name, action="preview", params=params)
        sent.append(Delivery(topics.SCHEMA_COMMAND.address(schema="daily"), encode(command)))
    await entrypoint.take(sent)
    good, bad = (decode(message.payload, Result) for message in house.shelf.told)
    assert (good.id, good.ok, good.timestamp) == ("good", True, NOW)
    assert len(good.detail["records"]) >= 4
    assert (bad.id, bad.ok, bad.detail["field"]) == ("bad", False, "to")
    assert not house.ledger.listens(Sink.RECORDS)
