"""Who has fallen silent, by the clock and by when things were measured."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Alert
from caudal.processor.domain.silence import WHOLE, Silence, Watched, alert_of, silences_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours_ago(hours: float) -> datetime:
    return NOW - HOUR * hours


def judged(
    last: float, heard: Mapping[str, float] | None = None, known: Mapping[str, float] | None = None
) -> dict[str, datetime]:
    """A point due every 3 hours, whose last reading was measured so many hours ago."""
    watched = Watched(
        point="P", device="d", heard_at=hours_ago(last), due=3 * HOUR, variables=frozenset({"total", "flow"})
    )
    times = [{code: hours_ago(hours) for code, hours in (each or {}).items()} for each in (heard, known)]
    return silences_of(watched, times[0], times[1], NOW)


@pytest.mark.parametrize(("last", "is_silent"), [(0, False), (2.9, False), (3, False), (3.1, True), (900, True)])
def test_a_point_is_silent_once_more_than_what_is_due_is_missing(last: float, is_silent: bool) -> None:
    assert judged(last) == ({WHOLE: hours_ago(last)} if is_silent else {})


def test_a_dead_totalizer_beside_live_flow_is_silent_by_itself() -> None:
    assert judged(0, heard={"flow": 0, "total": 50}) == {"total": hours_ago(50)}
    assert judged(0, heard={"flow": 0, "total": 3}) == {}


def test_what_never_gave_a_value_is_not_missed() -> None:
    assert judged(0, heard={"flow": 0}) == {}


def test_variables_are_not_blamed_for_the_silence_of_their_point() -> None:
    assert judged(4, heard={"flow": 4, "total": 4}) == {WHOLE: hours_ago(4)}


def test_a_variable_that_was_silent_stays_so_while_the_point_is_and_after_a_restart() -> None:
    assert judged(4, known={"total": 50}) == {WHOLE: hours_ago(4), "total": hours_ago(50)}
    assert judged(0, heard={"flow": 0}, known={"total": 50}) == {"total": hours_ago(50)}


def test_late_readings_of_long_ago_break_no_silence_and_keep_its_beginning() -> None:
    assert judged(30, known={WHOLE: 50}) == {WHOLE: hours_ago(50)}
    assert judged(0, heard={"flow": 0, "total": 20}, known={"total": 50}) == {"total": hours_ago(50)}


def test_a_variable_that_the_point_has_no_more_is_not_silent() -> None:
    assert judged(0, known={"gone": 50}) == {}
    assert judged(4, known={"gone": 50}) == {WHOLE: hours_ago(4)}


@pytest.mark.parametrize(
    ("variable", "severity", "detail"),
    [
        (WHOLE, "critical", "P: nothing measured since 2026-03-02T08:00:00+00:00"),
        ("total", "warning", "total: nothing measured since 2026-03-02T08:00:00+00:00"),
    ],
)
def test_the_silence_of_a_point_is_told_as_graver_than_that_of_a_variable(
    variable: str, severity: str, detail: str
) -> None:
    told = alert_of(Silence(point="P", variable=variable, since=hours_ago(4), device="d"))
    alert = decode(told.payload, Alert)
    assert (told.topic, alert.severity, alert.detail) == ("telemetry/d/alert", severity, detail)
    assert (alert.point, alert.variable, alert.measured_at, alert.ended_at) == ("P", variable, hours_ago(4), None)
