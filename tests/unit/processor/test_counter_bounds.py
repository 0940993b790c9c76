"""Where one verdict on a counter ends and the next begins: each bound, from both sides."""

from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import Counter, CounterKind, Point, PulseMeter, Variable, VariableType, Version
from caudal.common.domain.readings import Flag
from caudal.processor.domain.ledger import Measured
from caudal.processor.domain.plans import timeline_for
from caudal.processor.domain.weave import Weave

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def total(shift: float = 0.0, calibration: float = 1.0, **counter: object) -> Variable:
    """A totalizer of 100 counts per cubic meter."""
    meter = PulseMeter(pulses_per_liter=0.1, calibration_factor=calibration)
    return Variable(code="total", type=VariableType.TOTALIZER, shift=shift, counter=Counter(meter=meter, **counter))


def well(variable: Variable, *, before: Variable | None = None, until: datetime = START) -> Point:
    """A point of hourly readings; its variable was `before` until that instant."""
    earlier = (Version(valid_until=until, sampling_minutes=60, variables=(before,)),) if before else ()
    return Point(code="P", device="d", sampling_minutes=60, variables=(variable,), earlier=earlier)


def folded(point: Point, *counts: float, every: timedelta = HOUR) -> list[tuple[float | None, list[Flag]]]:
    """The total and the flags that each count gets, once all are known."""
    weave = Weave(timeline_for(point))
    for i, count in enumerate(counts):
        at = START + i * every
        weave.fold(at, None, {"total": Measured(count, at, "")}, "d", "")
    return [_seen(change.after.processed["total"]) for change in weave.take_all()]


def _seen(value: ProcessedValue) -> tuple[float | None, list[Flag]]:
    return (None if value.value is None else round(value.value, 6)), value.flags


@pytest.mark.parametrize(("pulses", "believed"), [(361, True), (362, False)])
def test_the_greatest_flow_and_one_count_for_the_rounding_are_believed_and_no_count_more(
    pulses: int, believed: bool
) -> None:
    """1 l/s for an hour are 3.6 m³, 360 counts."""
    (_, (_, flags)) = folded(well(total(max_flow_lps=1)), 1000, 1000 + pulses)
    assert (flags == []) is believed


@pytest.mark.parametrize(("hours", "judged"), [(3.0, True), (3.01, False)])
def test_a_silence_as_long_as_a_gap_may_be_is_none_yet(hours: float, judged: bool) -> None:
    (_, (_, flags)) = folded(well(total(max_flow_lps=0.001)), 1000, 9000, every=hours * HOUR)
    assert (Flag.IMPLAUSIBLE_RISE in flags) is judged


def test_a_steep_rise_is_confirmed_by_the_same_count_again() -> None:
    point = well(total(max_flow_lps=1))
    assert folded(point, 1000, 9000, 9000) == [(10, []), (90, [Flag.IMPLAUSIBLE_RISE]), (90, [])]


def test_a_steep_rise_counts_from_where_the_total_began() -> None:
    (_, risen) = folded(well(total(shift=500, max_flow_lps=1)), 1000, 9000)
    assert risen == (590, [Flag.IMPLAUSIBLE_RISE, Flag.UNCONFIRMED])


def test_a_fall_is_confirmed_by_the_same_count_again() -> None:
    assert folded(well(total()), 1000, 50, 50) == [(10, []), (10.5, [Flag.ZERO_TOTAL_RESET]), (10.5, [])]


def test_the_old_count_itself_undoes_a_fall() -> None:
    assert folded(well(total()), 1000, 50, 1000) == [(10, []), (10, [Flag.GLITCH]), (10, [])]


def test_a_register_that_wraps_to_one_has_wrapped() -> None:
    assert folded(well(total(register_bits=16)), 65_500, 1)[1] == (655.37, [Flag.COUNTER_WRAP])


def test_a_single_zero_of_a_register_that_could_have_wrapped_is_a_glitch() -> None:
    found = folded(well(total(register_bits=16)), 65_500, 0, 65_510)
    assert found == [(655, []), (655, [Flag.GLITCH]), (655.1, [])]


def test_a_wrap_has_to_explain_all_that_was_counted_since() -> None:
    """0.2 l/s for an hour are 72 counts; to wrap to 60 takes 96."""
    found = folded(well(total(register_bits=16, max_flow_lps=0.2)), 65_500, 60, 61)
    assert found == [(655, []), (655.6, [Flag.ZERO_TOTAL_RESET]), (655.61, [])]


def test_new_constants_judge_a_fall_that_is_still_open_and_leave_it_open() -> None:
    changed = well(total(calibration=2.0), before=total(), until=START + 2 * HOUR)
    held = (10, [Flag.UNCONFIRMED, Flag.ZERO_TOTAL_RESET])
    assert folded(changed, 1000, 50, 40) == [(10, []), held, (10, [Flag.UNCONFIRMED])]


def test_new_constants_count_what_came_since_a_restart_that_they_confirm() -> None:
    changed = well(total(calibration=2.0), before=total(), until=START + 2 * HOUR)
    found = folded(changed, 1000, 50, 60)
    assert found == [(10, []), (11, [Flag.ZERO_TOTAL_RESET]), (11.2, [])]


def test_new_constants_go_on_from_a_steep_rise_that_is_still_open() -> None:
    changed = well(total(calibration=2.0, max_flow_lps=1), before=total(max_flow_lps=1), until=START + 2 * HOUR)
    found = folded(changed, 1000, 9000, 9000)
    assert found == [(10, []), (170, [Flag.IMPLAUSIBLE_RISE]), (170, [])]


def test_a_counter_may_begin_at_zero() -> None:
    assert folded(well(total()), 0, 100) == [(0, []), (1, [])]


def test_what_is_in_doubt_is_so_since_its_first_count_and_no_longer_than_until_the_verdict() -> None:
    weave = Weave(timeline_for(well(total())))
    since = []
    for i, count in enumerate((1000, 50, 40, 60)):
        at = START + i * HOUR
        weave.fold(at, None, {"total": Measured(count, at, "")}, "d", "")
        since.append(weave.state.in_doubt_since())
    assert since == [None, START + HOUR, START + HOUR, None]


@pytest.mark.parametrize(
    ("count", "flags"), [(325, [Flag.COUNTER_WRAP]), (326, [Flag.UNCONFIRMED, Flag.ZERO_TOTAL_RESET])]
)
def test_what_a_wrap_would_have_to_have_counted_decides_at_once(count: float, flags: list[Flag]) -> None:
    """1 l/s for an hour are 360 counts, and one for the rounding; up to 2¹⁶ it is 36."""
    assert folded(well(total(register_bits=16, max_flow_lps=1)), 65_500, count)[1][1] == flags


@pytest.mark.parametrize(("hours", "flags"), [(3.0, [Flag.IMPLAUSIBLE_RISE]), (3.01, [])])
def test_a_difference_across_a_gap_is_not_judged(hours: float, flags: list[Flag]) -> None:
    point = well(total(kind=CounterKind.DELTA, max_flow_lps=0.001))
    assert folded(point, 100, 9000, every=hours * HOUR)[1] == (91, flags)


def test_of_a_fall_that_new_constants_leave_open_the_first_count_alone_says_reset() -> None:
    changed = well(total(calibration=2.0), before=total(), until=START + 3 * HOUR)
    flags = [found[1] for found in folded(changed, 1000, 50, 40, 30)]
    assert flags == [[], [Flag.UNCONFIRMED, Flag.ZERO_TOTAL_RESET], [Flag.UNCONFIRMED], [Flag.UNCONFIRMED]]
