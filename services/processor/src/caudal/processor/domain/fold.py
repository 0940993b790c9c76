"""The fold: `step(state, reading, plan)` turns one reading into processed values, without clock, database or bus.

Readings of a point are folded in the order in which they were measured. What a later reading decides about earlier
ones comes back as `Settlement`s beside the values.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import CounterKind, VariableType
from caudal.common.domain.readings import Flag
from caudal.processor.domain.consistency import (
    FlowSeen,
    LevelSeen,
    flow_contradicts_total,
    level_contradicts_total,
)
from caudal.processor.domain.counters import Advance, CounterState, Settlement, advance
from caudal.processor.domain.plans import WATER_TABLE_DEPTH, Plan, VariablePlan

LARGEST = 1e30
"""No meter shows more; sums and products of such numbers would leave what a float can hold."""

_FLOWS = (VariableType.FLOW, VariableType.AVERAGE_FLOW)
_IN_DOUBT = frozenset({Flag.UNCONFIRMED, Flag.GLITCH, Flag.JITTER, Flag.SENTINEL})


class PointState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the fold has to know of a point's past."""

    counters: dict[str, CounterState] = {}
    flow: FlowSeen | None = None
    level: LevelSeen | None = None

    def in_doubt_since(self) -> datetime | None:
        """The earliest reading whose verdict is still open; None: all are settled."""
        since = [counter.suspect.since for counter in self.counters.values() if counter.suspect is not None]
        return min(since) if since else None


EMPTY = PointState()


class Folded(msgspec.Struct, frozen=True):
    """What one reading became, and what it decided about those before."""

    state: PointState
    values: dict[str, ProcessedValue]
    settlements: tuple[Settlement, ...] = ()


class _Totals:
    """What the counters of one reading gave, for those rules that ask."""

    __slots__ = ("advances", "values")

    def __init__(self) -> None:
        self.advances: dict[str, Advance] = {}
        self.values: dict[str, ProcessedValue] = {}


def step(state: PointState, at: datetime, measured: Mapping[str, int | float | None], plan: Plan) -> Folded:
    """Fold one reading, later than all before.

    Args:
        state: What the readings before left behind; `EMPTY` for the first.
        at: When it was measured.
        measured: Variable code to number; None where the device sent something unreadable. Variables that the point
            does not have are left alone.
        plan: The point's configuration.
    """
    counters = dict(state.counters)
    settlements: tuple[Settlement, ...] = ()
    totals = _Totals()
    values = totals.values
    for variable in plan.variables:
        code = variable.code
        if code not in measured:
            continue
        count = measured[code]
        if count is None:
            values[code] = ProcessedValue(value=None, flags=[Flag.UNREADABLE])
        elif count in variable.sentinels:
            values[code] = ProcessedValue(value=None, measured=count, flags=[Flag.SENTINEL])
        elif not -LARGEST <= count <= LARGEST:
            values[code] = ProcessedValue(value=None, measured=count, flags=[Flag.OUT_OF_RANGE])
        elif variable.counter is None:
            _gauge(variable, count, values)
        else:
            before = counters.get(code)
            if before is None and count < 0:
                values[code] = ProcessedValue(value=None, measured=count, flags=[Flag.GLITCH])
                continue
            result = advance(before, float(count), at, variable.counter, code)
            counters[code] = result.state
            totals.advances[code] = result
            if result.settlement is not None:
                settlements = (*settlements, result.settlement)
            values[code] = _counted(variable, before, result, count, at)
    _derive_flow(plan, state, totals, at)
    flow, level = _compare(plan, state, totals, at)
    return Folded(PointState(counters, flow, level), values, settlements)


def _gauge(variable: VariablePlan, measured: int | float, values: dict[str, ProcessedValue]) -> None:
    """A plain value: scaled, checked against its limits; a level gives the water table's depth as well."""
    value = float(measured * variable.scale + variable.shift)
    flags = _limit_flags(variable, value)
    values[variable.code] = ProcessedValue(value=value, measured=measured, flags=flags, constants=variable.constants)
    depth_m = variable.sensor_depth_m
    if depth_m is None:
        return
    if value > depth_m:
        values[WATER_TABLE_DEPTH] = ProcessedValue(value=None, measured=measured, flags=[Flag.SENSOR_DEPTH])
        return
    values[WATER_TABLE_DEPTH] = ProcessedValue(value=depth_m - value, measured=measured, constants=variable.constants)


def _counted(
    variable: VariablePlan, before: CounterState | None, result: Advance, measured: int | float, at: datetime
) -> ProcessedValue:
    """A counter's value: the continuous total, or for a flow given in pulses the rate since the last good count."""
    flags: list[Flag] = list(result.flags)
    value: float | None = result.total_m3
    if variable.is_volume:
        flags += _device_total_flags(variable, measured)
    else:
        value = _rate(before, result, at)
        if value is not None:
            flags += _limit_flags(variable, value)
    return ProcessedValue(
        value=value, measured=measured, flags=sorted(set(flags)) if flags else [], constants=variable.constants
    )


def _rate(before: CounterState | None, result: Advance, at: datetime) -> float | None:
    """Mean flow since the last good count, l/s; None when there is none, or when this count is in doubt."""
    if before is None or not _IN_DOUBT.isdisjoint(result.flags):
        return None
    seconds = (at - before.at).total_seconds()
    return (result.total_m3 - before.total_m3) * 1000.0 / seconds if seconds > 0 else None


def _device_total_flags(variable: VariablePlan, measured: int | float) -> list[Flag]:
    """The limits of a total are those of what the device says: the continuous total outgrows any register."""
    counter = variable.counter
    assert counter is not None
    # A difference does not begin where the total does.
    begins_m3 = counter.start_m3 if counter.kind is CounterKind.TOTAL else 0.0
    return _limit_flags(variable, counter.constants.volume_m3(measured) + begins_m3)


def _limit_flags(variable: VariablePlan, value: float) -> list[Flag]:
    limits = variable.limits
    flags: list[Flag] = []
    if (limits.alert_above is not None and value > limits.alert_above) or (
        limits.alert_below is not None and value < limits.alert_below
    ):
        flags.append(Flag.ALERT_LIMIT)
    if value == 0 and limits.alert_at_zero:
        flags.append(Flag.FLOW_ZERO)
    if limits.reset_above is not None and value > limits.reset_above:
        flags.append(Flag.LEVEL_MAX_RESET)
    if value < 0 and variable.type in _FLOWS:
        flags.append(Flag.NEGATIVE)
    if (limits.min is not None and value < limits.min) or (limits.max is not None and value > limits.max):
        flags.append(Flag.OUT_OF_RANGE)
    return flags


def _derive_flow(plan: Plan, state: PointState, totals: _Totals, at: datetime) -> None:
    """Flow where it was not measured: Δm³ / Δs × 1000 since the last good count, l/s."""
    flow, total = plan.derived_flow, plan.totalizer
    if flow is None or total is None or flow.code in totals.values or total not in totals.advances:
        return
    rate = _rate(state.counters.get(total), totals.advances[total], at)
    if rate is not None:
        flags = sorted([Flag.DERIVED, *_limit_flags(flow, rate)])
        totals.values[flow.code] = ProcessedValue(value=rate, flags=flags)


def _compare(plan: Plan, state: PointState, totals: _Totals, at: datetime) -> tuple[FlowSeen | None, LevelSeen | None]:
    """Apply the rules between variables; what the next reading will be compared with."""
    total = totals.advances.get(plan.totalizer) if plan.totalizer else None
    if total is None or not _IN_DOUBT.isdisjoint(total.flags):
        return state.flow, state.level
    assert plan.totalizer is not None
    found: list[Flag] = []
    flow, level = state.flow, state.level
    lps = _measured_value(plan.flow, totals)
    if lps is not None:
        flow = FlowSeen(at, lps, total.total_m3)
        if (
            plan.rules.flow_total_consistency
            and state.flow is not None
            and flow_contradicts_total(
                state.flow, flow, plan.rules, plan.gap_s, resolution_m3=total.state.constants.volume_m3(1.0)
            )
        ):
            found.append(Flag.FLOW_TOTAL_CONSISTENCY)
    level_m = _measured_value(plan.level, totals)
    if level_m is not None:
        level = LevelSeen(at, level_m, total.total_m3)
        if (
            plan.rules.level_accumulated_consistency
            and state.level is not None
            and level_contradicts_total(state.level, level, plan.rules, plan.gap_s)
        ):
            found.append(Flag.LEVEL_ACCUMULATED_CONSISTENCY)
    if found:
        value = totals.values[plan.totalizer]
        totals.values[plan.totalizer] = msgspec.structs.replace(value, flags=sorted({*value.flags, *found}))
    return flow, level


def _measured_value(code: str | None, totals: _Totals) -> float | None:
    """The value of a variable at this instant, if it was measured and not derived."""
    value = totals.values.get(code) if code else None
    return value.value if value is not None and Flag.DERIVED not in value.flags else None
