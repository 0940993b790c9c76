"""One continuous total from a counter that restarts, glitches, jitters, wraps and is replaced."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import Counter, CounterKind, MeterSwap, Point, PulseMeter, Variable, VariableType
from caudal.common.domain.readings import Flag
from caudal.processor.domain.ledger import Measured
from caudal.processor.domain.plans import timeline_for
from caudal.processor.domain.pulses import pulse_constants
from caudal.processor.domain.weave import Weave

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
METER = PulseMeter(pulses_per_liter=0.1)


def hourly(counts: Sequence[float | None], **counter: object) -> list[ProcessedValue]:
    """What becomes of one count an hour, all known."""
    return list(folded(((START + i * HOUR, count) for i, count in enumerate(counts)), **counter))


def folded(readings: Iterator[tuple[datetime, float | None]], **counter: object) -> list[ProcessedValue]:
    variable = Variable(code="total", type=VariableType.TOTALIZER, counter=Counter(**{"meter": METER} | counter))
    weave = Weave(timeline_for(Point(code="P", device="d", variables=(variable,))))
    for at, count in readings:
        weave.fold(at, None, {"total": Measured(count, at, "")}, "d", "")
    return [change.after.processed["total"] for change in weave.take_all()]


def totals(values: Sequence[ProcessedValue]) -> list[float | None]:
    return [value.value for value in values]


def flags(values: Sequence[ProcessedValue]) -> list[list[Flag]]:
    return [value.flags for value in values]


def test_pulses_become_volume_by_the_formula() -> None:
    meter = PulseMeter(pulses_per_liter=0.1, calibration_factor=1.02)
    assert pulse_constants(meter).volume_m3(123_457) == 123_457 * 1.02 / (0.1 * 1000)


def test_the_total_is_the_device_s_own_until_something_happens_to_it() -> None:
    assert totals(hourly([1000, 1100, 1100, 1500])) == [10, 11, 11, 15]


def test_the_constants_applied_stand_beside_each_value() -> None:
    assert hourly([5])[0].constants == {"pulses_per_liter": 0.1, "calibration_factor": 1.0}


def test_a_single_zero_is_a_glitch_and_no_baseline() -> None:
    values = hourly([1000, 0, 1100])
    assert totals(values) == [10, 10, 11]
    assert flags(values) == [[], [Flag.GLITCH], []]
    assert values[1].measured == 0


def test_zeros_for_a_while_are_glitches_too_once_the_old_value_is_back() -> None:
    values = hourly([1000, 0, 0, 0, 1000, 1100])
    assert totals(values) == [10, 10, 10, 10, 10, 11]
    assert flags(values)[1:4] == [[Flag.GLITCH]] * 3


def test_a_truncated_count_is_a_glitch() -> None:
    assert totals(hourly([91_755, 9_175, 91_760])) == [917.55, 917.55, 917.6]


def test_a_fall_that_later_counts_confirm_is_a_restart() -> None:
    values = hourly([1000, 50, 120])
    assert totals(values) == [10, 10.5, 11.2]
    assert flags(values) == [[], [Flag.ZERO_TOTAL_RESET], []]


def test_a_restart_at_zero_counts_what_came_since() -> None:
    values = hourly([1000, 0, 0, 70])
    assert totals(values) == [10, 10, 10, 10.7]
    assert flags(values) == [[], [Flag.ZERO_TOTAL_RESET], [], []]


def test_a_fall_is_held_and_marked_until_it_is_decided() -> None:
    values = hourly([1000, 50])
    assert totals(values) == [10, 10]
    assert flags(values)[1] == [Flag.UNCONFIRMED, Flag.ZERO_TOTAL_RESET]


def test_two_restarts_add_up() -> None:
    assert totals(hourly([1000, 50, 100, 10, 30]))[-1] == pytest.approx((1000 + 100 + 30) / 100)


def test_a_count_between_two_falls_is_a_glitch() -> None:
    values = hourly([1000, 500, 20, 60])
    assert totals(values) == [10, 10, 10.2, 10.6]
    assert flags(values) == [[], [Flag.GLITCH], [Flag.ZERO_TOTAL_RESET], []]


def test_a_fall_of_less_than_one_percent_is_jitter() -> None:
    values = hourly([1000, 999.99, 1001])
    assert totals(values) == [10, 10, 10.01]
    assert flags(values)[1] == [Flag.JITTER]


def test_a_fall_of_one_percent_is_none() -> None:
    assert Flag.JITTER not in hourly([1000, 990])[1].flags


def test_a_register_of_known_width_wraps() -> None:
    values = hourly([65_000, 65_500, 100], register_bits=16)
    assert totals(values) == [650, 655, 656.36]
    assert flags(values)[2] == [Flag.COUNTER_WRAP]


def test_a_register_that_wraps_to_exactly_zero_waits_for_the_next_count() -> None:
    values = hourly([65_500, 0, 40], register_bits=16)
    assert totals(values) == [655, 655.36, 655.76]
    assert flags(values) == [[], [Flag.COUNTER_WRAP], []]


def test_a_fall_too_large_for_a_wrap_is_a_restart() -> None:
    values = hourly([10_000, 100, 200], register_bits=16, max_flow_lps=1)
    assert totals(values) == [100, 101, 102]
    assert flags(values)[1] == [Flag.ZERO_TOTAL_RESET]


def test_a_declared_swap_overrules_everything() -> None:
    swap = MeterSwap(at=START + 1.5 * HOUR, starts_at=5000)
    values = hourly([1000, 1100, 5040, 5100], swaps=(swap,))
    assert totals(values) == [10, 11, 11.4, 12]
    assert flags(values) == [[], [], [Flag.METER_SWAP], []]


def test_a_swap_makes_a_glitch_of_a_fall_before_it() -> None:
    swap = MeterSwap(at=START + 1.5 * HOUR)
    values = hourly([1000, 0, 30], swaps=(swap,))
    assert totals(values) == [10, 10, 10.3]
    assert flags(values) == [[], [Flag.GLITCH], [Flag.METER_SWAP]]


def test_a_new_meter_at_the_very_instant_of_the_swap_counts_as_new() -> None:
    swap = MeterSwap(at=START + HOUR, starts_at=7)
    assert totals(hourly([1000, 7, 17], swaps=(swap,))) == [10, 10, 10.1]


def test_a_rise_too_steep_is_a_glitch_when_the_old_value_comes_back() -> None:
    values = hourly([1000, 9_999_999, 1100], max_flow_lps=10)
    assert totals(values) == [10, 10, 11]
    assert flags(values)[1] == [Flag.GLITCH]


def test_a_rise_too_steep_stays_flagged_when_it_is_confirmed() -> None:
    values = hourly([1000, 99_999, 100_100], max_flow_lps=10)
    assert totals(values) == [10, 999.99, 1001]
    assert flags(values) == [[], [Flag.IMPLAUSIBLE_RISE], []]


def test_a_rise_after_a_gap_is_not_judged() -> None:
    readings = iter([(START, 1000.0), (START + 30 * HOUR, 9_000_000.0)])
    assert flags(folded(readings, max_flow_lps=0.1)) == [[], []]


def test_a_sentinel_gives_no_value_and_changes_nothing() -> None:
    values = hourly([1000, -999, 1100])
    assert totals(values) == [10, None, 11]
    assert flags(values)[1] == [Flag.SENTINEL]


def test_a_negative_count_is_a_glitch_at_once() -> None:
    values = hourly([1000, -4, 1100])
    assert totals(values) == [10, 10, 11]
    assert flags(values)[1] == [Flag.GLITCH, Flag.OUT_OF_RANGE]


def test_a_negative_first_count_is_no_baseline() -> None:
    values = hourly([-4, 1100])
    assert totals(values) == [None, 11]


def test_what_is_no_number_gives_no_value() -> None:
    values = hourly([1000, None, 1100])
    assert totals(values) == [10, None, 11]
    assert flags(values)[1] == [Flag.UNREADABLE]


def test_a_difference_that_cannot_have_come_is_flagged_and_added() -> None:
    """1 l/s for an hour are 3.6 m³, 360 counts. Four hours of silence are a gap, across which nobody can say."""
    values = hourly([100, 360, 1000, None, None, None, 1000], kind=CounterKind.DELTA, max_flow_lps=1)
    assert flags(values)[:3] == [[], [], [Flag.IMPLAUSIBLE_RISE]]
    assert totals(values)[:3] == pytest.approx([1, 4.6, 14.6])
    assert (totals(values)[-1], flags(values)[-1]) == (pytest.approx(24.6), [])


def test_a_delta_counter_adds_up() -> None:
    assert totals(hourly([100, 0, 50], kind=CounterKind.DELTA)) == [1, 1, 1.5]


def test_a_counter_without_pulses_gives_cubic_meters() -> None:
    assert totals(hourly([10.5, 11], meter=None)) == [10.5, 11]


@given(
    steps=st.lists(st.integers(0, 500), min_size=2, max_size=30),
    restarts=st.sets(st.integers(1, 29), max_size=3),
    zeros=st.sets(st.integers(1, 29), max_size=3),
)
def test_the_total_is_all_that_was_counted_through_restarts_and_single_zeros(
    steps: list[int], restarts: set[int], zeros: set[int]
) -> None:
    """A meter in use (at least one pulse before a restart and after it); lone zeros lie away from restarts."""
    counts: list[float] = []
    counter = volume = 10_000
    for i, pulses in enumerate(steps):
        if i in restarts and counter > 2000:
            counter = 0
        counter += pulses + 1
        volume += pulses + 1
        counts.append(counter)
    true = list(counts)
    for i in range(1, len(true) - 1):
        if i in zeros and zeros.isdisjoint({i - 1, i + 1}) and true[i - 1] <= true[i] <= true[i + 1]:
            counts[i] = 0
    if counts[-1] >= counts[-2]:
        assert totals(hourly(counts))[-1] == pytest.approx(volume / 100)
