"""Rules over flows, levels and several variables at once."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import Counter, CounterKind, Limits, Point, PulseMeter, Rules, Variable, VariableType
from caudal.common.domain.readings import Flag
from caudal.processor.domain.fold import EMPTY, step
from caudal.processor.domain.plans import plan_for

START = datetime(2026, 3, 2, tzinfo=UTC)
TOTAL = Variable(code="total", type=VariableType.TOTALIZER)
FLOW = Variable(code="flow", type=VariableType.FLOW)
LEVEL = Variable(code="level", type=VariableType.LEVEL)


def folded(
    *readings: Mapping[str, float | None],
    variables: tuple[Variable, ...],
    rules: Rules | None = None,
    minutes: int = 60,
) -> list[dict[str, ProcessedValue]]:
    """What becomes of one reading every so many minutes, as each is folded."""
    plan = plan_for(Point(code="P", device="d", variables=variables, rules=rules or Rules()))
    state, found = EMPTY, []
    for i, reading in enumerate(readings):
        result = step(state, START + timedelta(minutes=i * minutes), reading, plan)
        state = result.state
        found.append(result.values)
    return found


def one(value: float, variable: Variable) -> ProcessedValue:
    return folded({variable.code: value}, variables=(variable,))[0][variable.code]


@pytest.mark.parametrize("measured", [1e308, -1e308, 10**40])
@pytest.mark.parametrize("variable", [TOTAL, FLOW, LEVEL], ids=lambda variable: variable.code)
def test_a_number_that_no_meter_shows_is_flagged_and_moves_nothing(measured: float, variable: Variable) -> None:
    alone = folded({variable.code: 5.0}, {variable.code: 6.0}, variables=(variable,))
    beside = folded({variable.code: 5.0}, {variable.code: measured}, {variable.code: 6.0}, variables=(variable,))
    assert (beside[1][variable.code].value, beside[1][variable.code].flags) == (None, [Flag.OUT_OF_RANGE])
    assert beside[2] == alone[1]


def test_flow_of_zero_is_a_measurement_and_an_alert() -> None:
    assert (one(0, FLOW).value, one(0, FLOW).flags) == (0, [Flag.FLOW_ZERO])


def test_a_negative_flow_is_flagged_not_clipped() -> None:
    value = one(-2.5, FLOW)
    assert value.value == -2.5
    assert value.flags == [Flag.NEGATIVE, Flag.OUT_OF_RANGE]


@pytest.mark.parametrize(("flow", "flags"), [(1000, []), (1000.1, [Flag.OUT_OF_RANGE])])
def test_flow_is_in_range_up_to_1000_litres_a_second(flow: float, flags: list[Flag]) -> None:
    assert one(flow, FLOW).flags == flags


@pytest.mark.parametrize(
    ("level", "flags"),
    [
        (90, []),
        (90.5, [Flag.ALERT_LIMIT]),
        (95, [Flag.ALERT_LIMIT]),
        (95.5, [Flag.ALERT_LIMIT, Flag.LEVEL_MAX_RESET]),
        (101, [Flag.ALERT_LIMIT, Flag.LEVEL_MAX_RESET, Flag.OUT_OF_RANGE]),
    ],
)
def test_levels_have_their_default_limits(level: float, flags: list[Flag]) -> None:
    assert one(level, LEVEL).flags == flags


def test_a_total_beyond_999_999_cubic_meters_is_out_of_range() -> None:
    assert one(999_999, TOTAL).flags == []
    assert one(1_000_000, TOTAL).flags == [Flag.OUT_OF_RANGE]


def test_a_difference_is_in_range_however_much_was_counted_before_it() -> None:
    total = Variable(code="total", type=VariableType.TOTALIZER, shift=999_999, counter=Counter(kind=CounterKind.DELTA))
    value = folded({"total": 5}, {"total": 7}, variables=(total,))[1]["total"]
    assert (value.value, value.flags) == (1_000_011, [])


def test_limits_of_the_variable_take_the_place_of_the_defaults() -> None:
    own = Variable(code="flow", type=VariableType.FLOW, limits=Limits(min=-5, max=5, alert_below=-1))
    assert one(0, own).flags == []
    assert one(-1, own).flags == [Flag.NEGATIVE]
    assert one(-2, own).flags == [Flag.ALERT_LIMIT, Flag.NEGATIVE]
    assert one(6, own).flags == [Flag.OUT_OF_RANGE]


def test_scale_and_shift_give_the_stored_unit() -> None:
    fahrenheit = Variable(code="t", type=VariableType.TEMPERATURE, scale=5 / 9, shift=-160 / 9)
    value = one(212, fahrenheit)
    assert value.value == pytest.approx(100)
    assert value.constants == {"scale": 5 / 9, "shift": -160 / 9}
    assert value.measured == 212


def test_water_table_depth_is_sensor_depth_less_the_column() -> None:
    level = Variable(code="level", type=VariableType.LEVEL, sensor_depth_m=60)
    values = folded({"level": 22.5}, variables=(level,))[0]
    assert values["level"].value == 22.5
    assert values["water_table_depth"].value == 37.5


def test_a_column_deeper_than_the_sensor_is_an_error_not_zero() -> None:
    level = Variable(code="level", type=VariableType.LEVEL, sensor_depth_m=60)
    depth = folded({"level": 61}, variables=(level,))[0]["water_table_depth"]
    assert depth.value is None
    assert depth.flags == [Flag.SENSOR_DEPTH]


def test_flow_is_derived_from_the_total_when_it_is_not_measured() -> None:
    values = folded({"total": 100}, {"total": 136}, variables=(TOTAL, FLOW))
    assert "flow" not in values[0]
    assert values[1]["flow"].value == pytest.approx(10)
    assert values[1]["flow"].flags == [Flag.DERIVED]
    assert values[1]["flow"].measured is None


def test_no_flow_is_derived_from_a_total_in_doubt() -> None:
    assert "flow" not in folded({"total": 100}, {"total": 0}, variables=(TOTAL, FLOW))[1]


def test_a_measured_flow_is_never_replaced() -> None:
    assert folded({"total": 1}, {"total": 37, "flow": 9.5}, variables=(TOTAL, FLOW))[1]["flow"].value == 9.5


def test_flow_given_in_pulses_is_a_rate() -> None:
    counter = Counter(kind=CounterKind.DELTA, meter=PulseMeter(pulses_per_liter=1))
    flow = Variable(code="flow", type=VariableType.FLOW, counter=counter)
    values = folded({"flow": 5}, {"flow": 7200}, variables=(flow,))
    assert values[0]["flow"].value is None
    assert values[1]["flow"].value == pytest.approx(2)


@pytest.mark.parametrize(
    ("grown", "flagged"), [(36, False), (19, False), (16, True), (53, False), (56, True), (0, True)]
)
def test_flow_without_growth_in_proportion_is_flagged(grown: float, flagged: bool) -> None:
    """10 l/s for an hour are 36 m³; half of that is allowed, and a count for the rounding."""
    values = folded({"total": 100, "flow": 10}, {"total": 100 + grown, "flow": 10}, variables=(TOTAL, FLOW))
    assert (Flag.FLOW_TOTAL_CONSISTENCY in values[1]["total"].flags) is flagged


def test_flow_and_total_are_not_compared_across_a_gap() -> None:
    readings = ({"total": 100, "flow": 10}, {"total": 100, "flow": 10})
    values = folded(*readings, variables=(TOTAL, FLOW), minutes=200)
    assert values[1]["total"].flags == []


def test_a_level_that_moves_without_volume_is_flagged() -> None:
    values = folded({"total": 5, "level": 10}, {"total": 5, "level": 12}, variables=(TOTAL, LEVEL))
    assert values[1]["total"].flags == [Flag.LEVEL_ACCUMULATED_CONSISTENCY]


def test_a_level_that_moves_with_volume_is_not() -> None:
    values = folded({"total": 5, "level": 10}, {"total": 6, "level": 12}, variables=(TOTAL, LEVEL))
    assert values[1]["total"].flags == []


def test_rules_can_be_switched_off() -> None:
    rules = Rules(level_accumulated_consistency=False, flow_total_consistency=False)
    readings = ({"total": 5, "level": 10, "flow": 9}, {"total": 5, "level": 12, "flow": 9})
    assert folded(*readings, variables=(TOTAL, LEVEL, FLOW), rules=rules)[1]["total"].flags == []


def test_variables_that_the_point_does_not_have_are_left_alone() -> None:
    assert folded({"total": 5, "other": 1}, variables=(TOTAL,))[0].keys() == {"total"}


@pytest.mark.parametrize("sentinel", [-3200, -999])
def test_a_sentinel_is_no_measurement(sentinel: float) -> None:
    value = one(sentinel, LEVEL)
    assert value.value is None
    assert value.flags == [Flag.SENTINEL]
    assert value.measured == sentinel


def test_a_flow_that_was_derived_is_not_held_against_the_total_it_came_from() -> None:
    readings = ({"total": 100, "flow": 10}, {"total": 101}, {"total": 102})
    assert [values["total"].flags for values in folded(*readings, variables=(TOTAL, FLOW))] == [[], [], []]
