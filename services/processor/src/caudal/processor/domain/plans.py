"""A point's configuration, made ready for the fold once instead of at every reading."""

from bisect import bisect_right
from datetime import datetime

import msgspec

from caudal.common.domain.catalog import Counter, Limits, Point, Rules, Variable, VariableType
from caudal.processor.domain.counters import CounterPlan
from caudal.processor.domain.pulses import Constants, pulse_constants

WATER_TABLE_DEPTH = "water_table_depth"
"""The variable that a level gives beside itself when the sensor's depth is known, m below ground."""


class VariablePlan(msgspec.Struct, frozen=True):
    """How one variable is read."""

    code: str
    type: VariableType
    scale: float
    shift: float
    limits: Limits
    sentinels: frozenset[float]
    counter: CounterPlan | None
    sensor_depth_m: float | None
    constants: dict[str, float]
    """As they are stored beside each result."""

    @property
    def is_volume(self) -> bool:
        """Whether its value is the continuous total of a counter."""
        return self.type is VariableType.TOTALIZER


class Plan(msgspec.Struct, frozen=True):
    """How a point's readings are folded."""

    variables: tuple[VariablePlan, ...]
    """Counters first: the rules about flows and levels ask what became of the total."""
    rules: Rules
    gap_s: float
    totalizer: str | None
    """The variable that the rules mean by "the total"; None: the point has none."""
    flow: str | None
    level: str | None
    derived_flow: VariablePlan | None
    """The flow that is computed from the total when it is not measured."""
    codes: frozenset[str]
    """Of its variables."""


class Timeline(msgspec.Struct, frozen=True):
    """How a point's readings are folded, by when they were measured."""

    plans: tuple[Plan, ...]
    """One more than there are changes."""
    changes: tuple[datetime, ...] = ()
    """The instants from which on the next plan is valid."""

    def at(self, at: datetime) -> Plan:
        """The plan for a reading measured at `at`."""
        return self.plans[bisect_right(self.changes, at)] if self.changes else self.plans[0]


def timeline_for(point: Point) -> Timeline:
    """The plans that follow from a point's configuration, now and in earlier times."""
    plans = [plan_for(point.as_of(version)) for version in point.earlier]
    return Timeline((*plans, plan_for(point)), tuple(version.valid_until for version in point.earlier))


def plan_for(point: Point) -> Plan:
    """The plan that follows from a point's present configuration."""
    gap_s = point.rules.gap_factor * point.sampling_minutes * 60.0
    plans = sorted(
        (_variable_plan(variable, gap_s) for variable in point.variables), key=lambda plan: not plan.is_volume
    )
    flow = next((plan for plan in plans if plan.type is VariableType.FLOW), None)
    return Plan(
        variables=tuple(plans),
        rules=point.rules,
        gap_s=gap_s,
        totalizer=next((plan.code for plan in plans if plan.is_volume), None),
        flow=flow.code if flow else None,
        level=next((plan.code for plan in plans if plan.type is VariableType.LEVEL), None),
        derived_flow=flow if flow and flow.counter is None else None,
        codes=frozenset(plan.code for plan in plans),
    )


def _variable_plan(variable: Variable, gap_s: float) -> VariablePlan:
    counter = variable.counter
    if counter is None and variable.type is VariableType.TOTALIZER:
        counter = Counter()
    counter_plan = _counter_plan(variable, counter, gap_s) if counter else None
    return VariablePlan(
        code=variable.code,
        type=variable.type,
        scale=variable.scale,
        shift=variable.shift,
        limits=variable.effective_limits(),
        sentinels=frozenset(variable.sentinels),
        counter=counter_plan,
        sensor_depth_m=variable.sensor_depth_m if variable.type is VariableType.LEVEL else None,
        constants=_stored_constants(variable, counter),
    )


def _counter_plan(variable: Variable, counter: Counter, gap_s: float) -> CounterPlan:
    constants = pulse_constants(counter.meter) if counter.meter else Constants(factor=variable.scale)
    return CounterPlan(
        constants=constants,
        kind=counter.kind,
        register=2.0**counter.register_bits if counter.register_bits else None,
        max_flow_lps=counter.max_flow_lps,
        swaps=counter.swaps,
        gap_s=gap_s,
        start_m3=variable.shift if variable.type is VariableType.TOTALIZER else 0.0,
    )


def _stored_constants(variable: Variable, counter: Counter | None) -> dict[str, float]:
    stored: dict[str, float] = {}
    if counter and counter.meter:
        stored["pulses_per_liter"] = counter.meter.pulses_per_liter
        stored["calibration_factor"] = counter.meter.calibration_factor
    elif variable.scale != 1.0:
        stored["scale"] = variable.scale
    if variable.shift:
        stored["shift"] = variable.shift
    if variable.sensor_depth_m is not None:
        stored["sensor_depth_m"] = variable.sensor_depth_m
    return stored
