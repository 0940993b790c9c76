"""Laws: what is written can be read back, and no payload is ever an exception."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.numbers import number_reader
from caudal.common.domain.payloads.presets import PRESETS
from caudal.common.domain.payloads.reader import Reader
from caudal.common.domain.payloads.times import EARLIEST, time_reader

RECEIVED_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
SANTIAGO = ZoneInfo("America/Santiago")
MAPPINGS: list[dict[str, Any]] = [{"preset": name} for name in PRESETS] + [
    {"form": "entries", "time": {"path": "ts"}, "device": "id"},
    {"form": "series", "time": {"path": "[0]"}, "value": "[1]"},
    {"readings": "$..readings[*]", "time": {"path": "$.ts", "format": "%Y"}, "decimal": ","},
    {"values": {"flow": {"path": "$..v", "scale": 1e300, "convert": ["m3/h", "l/s"], "kind": "switch"}}},
]

instants = st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2150, 1, 1))
keys = st.sampled_from(["readings", "ts", "time", "values", "value", "variable", "id", "v", "flow"]) | st.text()
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes()
    | st.sampled_from(["2026-03-02T10:00:00Z", 1772445600000, "12,5", "1e999", "ON"])
)  # fmt: skip
payloads = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=6), max_leaves=30
)


@given(payloads, st.sampled_from(MAPPINGS), st.sampled_from([None, "America/Santiago"]))
def test_any_payload_gives_readings_or_reasons(payload: Any, mapping: dict[str, Any], zone: str | None) -> None:
    outcome = Reader(mapping_from(mapping), zone).read(payload, RECEIVED_AT)
    assert outcome.readings or outcome.refused or mapping.get("form") in ("entries", "series")
    for reading in outcome.readings:
        assert EARLIEST <= reading.measured_at <= RECEIVED_AT + timedelta(minutes=5)
        assert reading.measured_at.tzinfo is UTC
        assert reading.values
        assert all(type(value) in (int, float) and math.isfinite(value) for value in reading.values.values())
    assert all(refused.reason and len(refused.reason) <= 300 for refused in outcome.refused)


@given(st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_from_text_with_either_decimal_separator(value: int | float) -> None:
    assert number_reader()(repr(value)) == value
    assert number_reader(decimal=",")(repr(value).replace(".", ",")) == value
    assert number_reader()(value) == value


@given(st.integers(0, 10**12), st.sampled_from([".", " ", "'"]))
def test_thousands_come_back_from_text(value: int, separator: str) -> None:
    assert number_reader(",", separator)(f"{value:,}".replace(",", separator)) == value


@given(instants)
def test_text_times_come_back(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    for form in ("auto", "rfc3339"):
        assert time_reader(form, None, "reject")(at.isoformat()) == at
        assert time_reader(form, None, "reject")(at.astimezone(SANTIAGO).isoformat()) == at
    assert time_reader("%Y/%m/%d %H.%M.%S,%f %z", None, "reject")(at.strftime("%Y/%m/%d %H.%M.%S,%f %z")) == at


@given(instants)
def test_counts_since_1970_come_back(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    assert time_reader("epoch_ms", None, "reject")(since // timedelta(milliseconds=1)) == at.replace(
        microsecond=at.microsecond // 1000 * 1000
    )
    assert time_reader("epoch_s", None, "reject")(since // timedelta(seconds=1)) == at.replace(microsecond=0)
    assert abs(time_reader("epoch_s", None, "reject")(since.total_seconds()) - at) <= timedelta(microseconds=1)


@given(instants.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)))
def test_days_since_1899_come_back_to_the_millisecond(at: datetime) -> None:
    days = (at - datetime(1899, 12, 30)) / timedelta(days=1)
    assert time_reader("tdatetime", "UTC", "reject")(days) == at.replace(tzinfo=UTC)


@given(instants)
def test_local_times_come_back_with_the_side_of_the_clock_change_that_they_were_on(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    local = at.astimezone(SANTIAGO)
    read = time_reader("rfc3339", "America/Santiago", "after" if local.fold else "before")
    assert read(local.replace(tzinfo=None).isoformat()) == at


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_payloads_are_refused_and_nothing_overflows(depth: int) -> None:
    payload: Any = 1
    for _ in range(depth):
        payload = {"readings": [payload]}
    for mapping in MAPPINGS:
        outcome = Reader(mapping_from(mapping), "UTC").read(payload, RECEIVED_AT)
        assert (outcome.readings, len(outcome.refused)) == ([], 1), mapping
