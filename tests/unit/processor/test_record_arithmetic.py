"""When periods begin on the clock of a zone, and what records say where numbers end."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.schemas import Aggregate, RecordPeriod, Schema, SchemaField, SchemaRule
from caudal.processor.domain.records import TOO_MUCH, Instant, Record, parts_of, record_of, record_plan
from caudal.processor.domain.slots import LONGEST_DAY, LONGEST_MONTH, slot_of

SANTIAGO = ZoneInfo("America/Santiago")
NOW = datetime(2026, 3, 2, tzinfo=UTC)
ZONES = ["UTC", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Havana"]
instants = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("day", "starts_at", "hours"),
    [
        ("2026-09-05T12:00:00Z", "2026-09-05T04:00:00Z", 24),
        ("2026-09-06T12:00:00Z", "2026-09-06T04:00:00Z", 23),
        ("2026-09-07T12:00:00Z", "2026-09-07T03:00:00Z", 24),
        ("2026-04-04T12:00:00Z", "2026-04-04T03:00:00Z", 25),
        ("2026-04-05T12:00:00Z", "2026-04-05T04:00:00Z", 24),
    ],
)
def test_days_of_chile_are_as_long_as_their_clocks_make_them(day: str, starts_at: str, hours: int) -> None:
    start = slot_of(at(day), RecordPeriod.DAY, SANTIAGO)
    assert start == at(starts_at)
    end = start + timedelta(hours=hours)
    assert slot_of(end, RecordPeriod.DAY, SANTIAGO) == end
    assert slot_of(end - timedelta(microseconds=1), RecordPeriod.DAY, SANTIAGO) == start


def test_hour_that_comes_twice_makes_two_records() -> None:
    first, second = at("2026-04-05T02:30:00Z"), at("2026-04-05T03:30:00Z")
    assert first.astimezone(SANTIAGO).hour == second.astimezone(SANTIAGO).hour == 23
    assert slot_of(first, RecordPeriod.HOUR, SANTIAGO) != slot_of(second, RecordPeriod.HOUR, SANTIAGO)


def test_month_begins_at_midnight_on_the_spot() -> None:
    assert slot_of(at("2026-03-01T02:59:59Z"), RecordPeriod.MONTH, SANTIAGO) == at("2026-02-01T03:00:00Z")
    assert slot_of(at("2026-03-01T03:00:00Z"), RecordPeriod.MONTH, SANTIAGO) == at("2026-03-01T03:00:00Z")


@given(moment=instants, later=st.timedeltas(timedelta(0), timedelta(days=40)), name=st.sampled_from(ZONES))
@pytest.mark.parametrize("period", list(RecordPeriod))
def test_every_instant_is_in_one_period_and_periods_are_in_order(
    period: RecordPeriod, moment: datetime, later: timedelta, name: str
) -> None:
    zone = ZoneInfo(name)
    start = slot_of(moment, period, zone)
    assert timedelta(0) <= moment - start < max(LONGEST_DAY, LONGEST_MONTH)
    assert slot_of(start, period, zone) == start
    assert slot_of(moment + later, period, zone) >= start


def computed(aggregate: Aggregate, *values: float) -> Record:
    fields = (
        SchemaField(code="x", variable="v", aggregate=aggregate),
        SchemaField(code="y", expression="x * 2"),
        SchemaField(code="z", expression="1 / (x - x)"),
    )
    rules = (SchemaRule(code="low", expression="x < 5"), SchemaRule(code="odd", expression="1 / (x - x) > 1"))
    plan = record_plan(Schema(code="s", fields=fields, rules=rules, created_at=NOW, updated_at=NOW))
    held = [Instant(NOW + timedelta(minutes=minute), {"v": value}) for minute, value in enumerate(values)]
    return record_of(plan, "p", NOW, parts_of(plan, "p", "p", held), {})


def test_sum_that_no_number_holds_is_nothing_and_says_why() -> None:
    record = computed(Aggregate.SUM, 1.7e308, 1.7e308)
    assert record.values == {"x": None, "y": None, "z": None}
    assert record.reasons == {"x": TOO_MUCH}
    assert record.flags == []


def test_rule_that_does_not_hold_flags_and_division_by_zero_says_so() -> None:
    record = computed(Aggregate.MAX, 1, 7, 3)
    assert record.values == {"x": 7.0, "y": 14.0, "z": None}
    assert record.flags == ["low"]
    assert record.reasons == {"z": "a division by zero", "rules.odd": "a division by zero"}


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30))
def test_sums_and_means_are_the_same_in_any_order(values: list[float]) -> None:
    mixed = sorted(values)
    for aggregate in (Aggregate.SUM, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX, Aggregate.COUNT):
        assert computed(aggregate, *values).values["x"] == computed(aggregate, *mixed).values["x"]
