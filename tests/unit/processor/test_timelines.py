"""What was valid when a reading was measured decides how it is folded."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import (
    Counter,
    CounterKind,
    Limits,
    Point,
    PulseMeter,
    Variable,
    VariableType,
    Version,
)
from caudal.common.domain.readings import Flag
from caudal.processor.domain.ledger import Measured
from caudal.processor.domain.plans import timeline_for
from caudal.processor.domain.weave import Weave

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def total(pulses_per_liter: float, **counter: object) -> Variable:
    settings = {"meter": PulseMeter(pulses_per_liter=pulses_per_liter)} | counter
    return Variable(code="total", type=VariableType.TOTALIZER, counter=Counter(**settings))


def well(*versions: tuple[Variable, ...], hours: float = 2.0) -> Point:
    """A point whose versions are each valid for so many hours; the last one from then on."""
    earlier = [
        Version(valid_until=START + HOUR * hours * (i + 1), sampling_minutes=60, variables=each)
        for i, each in enumerate(versions[:-1])
    ]
    return Point(code="P", device="d", variables=versions[-1], earlier=tuple(earlier))


def folded(point: Point, *readings: Mapping[str, float]) -> list[dict[str, ProcessedValue]]:
    """What becomes of a reading every hour."""
    weave = Weave(timeline_for(point))
    for i, values in enumerate(readings):
        at = START + HOUR * i
        weave.fold(at, None, {code: Measured(value, at, "") for code, value in values.items()}, "d", "")
    return [change.after.processed for change in weave.take_all()]


def totals(point: Point, *counts: float) -> list[float | None]:
    return [row["total"].value for row in folded(point, *({"total": count} for count in counts))]


def test_a_reading_at_the_instant_of_a_change_is_the_new_version_s() -> None:
    timeline = timeline_for(well((total(0.1),), (total(0.2),)))
    just_before = START + HOUR * 2 - timedelta(microseconds=1)
    assert timeline.at(just_before) is timeline.plans[0]
    assert timeline.at(START + HOUR * 2) is timeline.plans[1]


def test_new_constants_leave_the_past_and_go_on_from_its_total() -> None:
    assert totals(well((total(0.1),), (total(0.2),)), 1000, 1100, 1200, 1300) == [10, 11, 11.5, 12]


def test_the_constants_beside_a_value_are_those_of_its_version() -> None:
    rows = folded(well((total(0.1),), (total(0.2),)), *({"total": count} for count in (1000, 1100, 1200)))
    assert [row["total"].constants["pulses_per_liter"] for row in rows] == [0.1, 0.1, 0.2]


def test_limits_hold_from_their_version_on() -> None:
    wide, narrow = (Variable(code="flow", type=VariableType.FLOW, limits=Limits(max=most)) for most in (10, 5))
    rows = folded(well((wide,), (narrow,)), {"flow": 7}, {"flow": 7}, {"flow": 7})
    assert [row["flow"].flags for row in rows] == [[], [], [Flag.OUT_OF_RANGE]]


def test_a_variable_is_read_while_the_point_has_it_and_its_total_survives_the_gap() -> None:
    flow = Variable(code="flow", type=VariableType.FLOW)
    point = well((total(0.1), flow), (flow,), (total(0.1), flow))
    rows = folded(point, *({"total": 1000 + i, "flow": 1} for i in range(6)))
    assert ["total" in row for row in rows] == [True, True, False, False, True, True]
    assert rows[5]["total"].value == 10.05


def test_a_doubt_that_is_open_when_constants_change_is_settled_by_the_new_ones() -> None:
    point = well((total(0.1),), (total(0.2),))
    rows = folded(point, *({"total": count} for count in (1000, 50, 60, 70)))
    assert [row["total"].value for row in rows] == [10, 10.25, 10.3, 10.35]
    assert [row["total"].flags for row in rows] == [[], [Flag.ZERO_TOTAL_RESET], [], []]


def test_a_doubt_ends_when_the_counter_begins_to_give_differences() -> None:
    point = well((total(0.1),), (total(0.1, kind=CounterKind.DELTA),))
    rows = folded(point, *({"total": count} for count in (1000, 50, 60)))
    assert [(row["total"].value, row["total"].flags) for row in rows] == [(10, []), (10, [Flag.GLITCH]), (10.6, [])]


def test_a_rise_in_doubt_is_valued_by_the_constants_that_will_judge_it() -> None:
    """As it would be if the reading that follows came late, and found the doubt as the change of constants left it."""
    point = well((total(0.1, max_flow_lps=100),), (total(0.2, max_flow_lps=100),))
    rows = folded(point, *({"total": count} for count in (1000, 9_000_000, -5)))
    assert [row["total"].value for row in rows] == [10, 45_005, 10]
    assert rows[1]["total"].flags == [Flag.IMPLAUSIBLE_RISE, Flag.UNCONFIRMED]
