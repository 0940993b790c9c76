"""Times in every form, on the days when clocks change, and units by exact ratios."""

from datetime import UTC, datetime
from typing import Any

import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.common.domain.payloads.times import checked_instant, time_reader
from caudal.common.domain.payloads.units import RATIOS, conversion
from caudal.common.domain.payloads.zones import ClockChange

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "raw"),
    [
        ("rfc3339", "2026-03-02T10:00:00Z"),
        ("rfc3339", " 2026-03-02t10:00:00z "),
        ("rfc3339", "2026-03-02 07:00:00-03:00"),
        ("rfc3339", "2026-03-02T10:00:00.000000000Z"),
        ("rfc3339", "2026-03-02T07:00:00"),
        ("epoch_s", 1772445600),
        ("epoch_s", "1772445600"),
        ("epoch_s", 1772445600.0),
        ("epoch_ms", 1772445600000),
        ("epoch", 1772445600000000000),
        ("auto", "1772445600000"),
        ("auto", 1772445600),
        ("auto", "2026-03-02T10:00:00+00:00"),
        ("%d/%m/%Y %H:%M", "02/03/2026 07:00"),
        ("%d/%m/%Y %H:%M %z", "02/03/2026 07:00 -0300"),
        ("tdatetime", 46083.291666666664),
        ("tdatetime", "46083.2916666667"),
        ("tdatetime_or_epoch", 1772445600),
        ("rfc3339", datetime(2026, 3, 2, 7, 0)),
        ("epoch_s", TEN),
    ],
)
def test_every_form_gives_the_same_instant(form: str, raw: Any) -> None:
    assert time_reader(form, "America/Santiago", "reject")(raw) == TEN


@pytest.mark.parametrize("form", ["auto", "rfc3339", "epoch_s", "epoch_ms", "tdatetime", "%Y-%m-%d"])
@pytest.mark.parametrize(
    "raw", [None, True, [], {}, "", "soon", "2026-13-01T00:00:00Z", "1e999", 10**40, -1e300, float("nan"), "\x00", "٢"]
)
def test_what_is_no_time_is_refused_with_a_reason(form: str, raw: Any) -> None:
    with pytest.raises(Unreadable) as refusal:
        time_reader(form, "UTC", "reject")(raw)
    assert refusal.value.reason


def test_a_time_without_zone_is_refused_where_none_is_declared() -> None:
    with pytest.raises(Unreadable, match="has no zone"):
        time_reader("rfc3339", None, "before")("2026-03-02T10:00:00")


@pytest.mark.parametrize(
    ("local", "before", "after"),
    [
        ("2026-04-04T23:30:00", "2026-04-05T02:30:00+00:00", "2026-04-05T03:30:00+00:00"),
        ("2026-09-06T00:30:00", "2026-09-06T04:30:00+00:00", "2026-09-06T03:30:00+00:00"),
    ],
)
def test_local_times_of_clock_changes_are_read_as_declared(local: str, before: str, after: str) -> None:
    for rule, expected in (("before", before), ("after", after)):
        change: ClockChange = "before" if rule == "before" else "after"
        assert time_reader("rfc3339", "America/Santiago", change)(local).isoformat() == expected
    with pytest.raises(Unreadable, match="clock_change"):
        time_reader("rfc3339", "America/Santiago", "reject")(local)


def test_no_reading_is_of_the_future_or_of_a_clock_that_was_not_set() -> None:
    assert checked_instant(TEN, TEN) == TEN
    with pytest.raises(Unreadable, match="ahead"):
        checked_instant(TEN, datetime(2026, 3, 2, 9, 59, tzinfo=UTC))
    with pytest.raises(Unreadable, match="before 2000"):
        checked_instant(datetime(1970, 1, 1, tzinfo=UTC), TEN)


@pytest.mark.parametrize(
    ("given", "wanted", "value", "expected"),
    [
        ("m3/h", "l/s", 36, 10),
        ("m³/h", "L/s", 3.6, 1),
        ("l", "m3", 1500, 1.5),
        ("°F", "°C", 212, 100),
        ("°C", "°F", -40, -40),
        ("K", "°C", 273.15, 0),
        ("cm", "m", 250, 2.5),
        ("kPa", "bar", 250, 2.5),
        ("mS/cm", "µS/cm", 1.2, 1200),
        ("gal", "l", 1, 3.785411784),
    ],
)
def test_units_convert_by_exact_ratios(given: str, wanted: str, value: float, expected: float) -> None:
    assert conversion(given, wanted)(value) == pytest.approx(expected, rel=1e-15, abs=1e-12)


def test_there_and_back_is_the_same_number() -> None:
    for units in RATIOS.values():
        first = next(iter(units))
        for unit in units:
            assert conversion(first, unit)(conversion(unit, first)(123.456)) == pytest.approx(123.456, rel=1e-14)


def test_unlike_quantities_do_not_convert() -> None:
    with pytest.raises(InvalidInput, match="is a flow"):
        conversion("l/s", "m3")
