"""Records of dynamic schemas: what was measured in a period, aggregated, calculated with, and judged.

A record is made of parts, one for each point and hour or day, so that a late reading costs no more than its part.
Records are a pure function of the ledger's rows, the schema and whose the points are.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from caudal.common.domain.catalog import Point, Variable, VariableType, Version
from caudal.common.domain.expressions import Expression, NoValue, expression_of
from caudal.common.domain.schemas import Aggregate, GroupBy, RecordPeriod, Schema
from caudal.common.domain.series import micros
from caudal.processor.domain.plans import WATER_TABLE_DEPTH
from caudal.processor.domain.slots import LONGEST_MONTH, slot_of

BEFORE = timedelta(days=31)
"""How far before a period the value may lie from which an increase is counted."""
TOO_MUCH = "more than a number can hold"


class Instant(msgspec.Struct, frozen=True):
    """The values of a row of the ledger."""

    at: datetime
    values: dict[str, float]


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a variable's values in a part; there is at least one."""

    count: int
    total: float | None
    """None: more than a number can hold."""
    low: float
    high: float
    first: float
    last: float
    last_at: int
    """In µs since the epoch."""


class Part(msgspec.Struct, frozen=True):
    """What one point contributes to records in an hour, or a day."""

    point: str
    group: str
    starts_at: datetime
    readings: int
    """Instants at which any of the variables has a value; at least one."""
    tallies: dict[str, Tally]


class Record(msgspec.Struct, frozen=True):
    """What a schema says of a group and a period."""

    group: str
    starts_at: datetime
    values: dict[str, float | None]
    """By field, in the schema's order."""
    flags: list[str]
    """Codes of the rules that do not hold."""
    reasons: dict[str, str]
    """Why a field, or a rule as `rules.<code>`, has no value although nothing is missing."""
    readings: int


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """A schema, made ready."""

    schema: Schema
    zone: ZoneInfo
    calculated: Mapping[str, Expression]
    rules: tuple[tuple[str, Expression], ...]
    growing: frozenset[str]
    """Variables of which the increase is asked for: what they were before matters."""

    def group_of(self, point: Point | None) -> str | None:
        """Code of the group to which a point's readings belong; None: to none."""
        if point is None or not self.schema.takes(point.code, point.client):
            return None
        return point.code if self.schema.group_by is GroupBy.POINT else point.client or ""

    def uses(self, variable: Variable) -> bool:
        """Whether records may be made of what a variable of a point gives."""
        return not _given_by(variable).isdisjoint(self.schema.variables)

    def growing_of(self, point: Point) -> frozenset[str]:
        """Those of the growing variables that the point has, or has had."""
        versions: tuple[Point | Version, ...] = (point, *point.earlier)
        known = (variable for version in versions for variable in version.variables)
        return self.growing.intersection(code for variable in known for code in _given_by(variable))

    def part_start(self, at: datetime) -> datetime:
        """Where the part begins that `at` is in."""
        period = RecordPeriod.HOUR if self.schema.period is RecordPeriod.HOUR else RecordPeriod.DAY
        return slot_of(at, period, self.zone)

    def record_start(self, part_start: datetime) -> datetime:
        """Where the record begins to which a part belongs."""
        if self.schema.period is not RecordPeriod.MONTH:
            return part_start
        return slot_of(part_start, RecordPeriod.MONTH, self.zone)

    def record_reach(self, start: datetime) -> datetime:
        """An instant after all parts of the record that begins at `start`; others may lie before it, too."""
        return start + (LONGEST_MONTH if self.schema.period is RecordPeriod.MONTH else timedelta(microseconds=1))


def _given_by(variable: Variable) -> set[str]:
    return {variable.code, WATER_TABLE_DEPTH} if variable.type is VariableType.LEVEL else {variable.code}


def record_plan(schema: Schema) -> RecordPlan:
    """The plan of a schema.

    Raises:
        InvalidInput: one of its expressions cannot be read.
    """
    calculated: dict[str, Expression] = {}
    names: list[str] = []
    for place, each in enumerate(schema.fields):
        if each.expression is not None:
            where = f"fields.{place}.expression"
            calculated[each.code] = expression_of(each.expression, names, is_truth=False, field=where)
        names.append(each.code)
    rules = tuple(
        (rule.code, expression_of(rule.expression, names, is_truth=True, field=f"rules.{place}.expression"))
        for place, rule in enumerate(schema.rules)
    )
    growing = {each.variable for each in schema.fields if each.variable and each.aggregate is Aggregate.INCREASE}
    return RecordPlan(schema, ZoneInfo(schema.time_zone), calculated, rules, frozenset(growing))


# ---------------------------------------------------------------- parts


def parts_of(plan: RecordPlan, point: str, group: str, instants: Iterable[Instant]) -> list[Part]:
    """The parts that a point's values make, which are given in order of time."""
    slots: dict[datetime, list[Instant]] = {}
    for instant in instants:
        slots.setdefault(plan.part_start(instant.at), []).append(instant)
    made = (_part(plan.schema.variables, point, group, start, held) for start, held in slots.items())
    return [part for part in made if part is not None]


def _part(
    variables: Iterable[str], point: str, group: str, start: datetime, instants: Sequence[Instant]
) -> Part | None:
    tallies = {}
    readings: set[datetime] = set()
    for variable in sorted(variables):
        held = [(instant.at, instant.values[variable]) for instant in instants if variable in instant.values]
        if held:
            tallies[variable] = _tally(held)
            readings.update(at for at, _ in held)
    return Part(point, group, start, len(readings), tallies) if tallies else None


def _tally(held: Sequence[tuple[datetime, float]]) -> Tally:
    values = [value for _, value in held]
    return Tally(
        count=len(values),
        total=_summed(values),
        low=min(values),
        high=max(values),
        first=values[0],
        last=values[-1],
        last_at=micros(held[-1][0]),
    )


def _summed(values: Iterable[float | None]) -> float | None:
    """The sum, the same in whatever order; None: more than a number can hold."""
    try:
        return math.fsum(math.inf if value is None else value for value in values) or 0.0
    except (OverflowError, ValueError):
        return None


# ---------------------------------------------------------------- records

Before = Mapping[tuple[str, str], float]
"""By point and variable the last value before a period, where there is one."""


def record_of(plan: RecordPlan, group: str, start: datetime, parts: Sequence[Part], before: Before) -> Record:
    """The record that begins at `start`, of its parts in order of point and time."""
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for each in plan.schema.fields:
        try:
            if each.variable is None:
                values[each.code] = _number(plan.calculated[each.code].calculate(values))
            else:
                values[each.code] = _aggregated(each.aggregate, each.variable, parts, before)
        except NoValue as error:
            values[each.code] = None
            reasons[each.code] = str(error)
    flags = []
    for code, rule in plan.rules:
        try:
            if rule.calculate(values) is False:
                flags.append(code)
        except NoValue as error:
            reasons[f"rules.{code}"] = str(error)
    return Record(group, start, values, flags, reasons, sum(part.readings for part in parts))


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _aggregated(aggregate: Aggregate, variable: str, parts: Sequence[Part], before: Before) -> float | None:
    held = [(part.point, part.tallies[variable]) for part in parts if variable in part.tallies]
    if aggregate is Aggregate.COUNT:
        return float(sum(tally.count for _, tally in held))
    if not held:
        return None
    if aggregate is Aggregate.INCREASE:
        return _finite(_increase(variable, held, before))
    return _finite(_OF_TALLIES[aggregate](held))


def _finite(value: float | None) -> float:
    if value is None or not math.isfinite(value):
        raise NoValue(TOO_MUCH)
    return value


Held = Sequence[tuple[str, Tally]]
"""Points with what is known of a variable there; at least one, in order of point and time."""


def _mean(held: Held) -> float | None:
    total = _summed(tally.total for _, tally in held)
    return None if total is None else total / sum(tally.count for _, tally in held)


def _last(held: Held) -> float:
    """Of two points at one instant the later in order of code."""
    return max(held, key=lambda each: (each[1].last_at, each[0]))[1].last


_OF_TALLIES: Mapping[Aggregate, Callable[[Held], float | None]] = {
    Aggregate.MEAN: _mean,
    Aggregate.MIN: lambda held: min(tally.low for _, tally in held),
    Aggregate.MAX: lambda held: max(tally.high for _, tally in held),
    Aggregate.SUM: lambda held: _summed(tally.total for _, tally in held),
    Aggregate.LAST: _last,
}


def _increase(variable: str, held: Held, before: Before) -> float | None:
    """What each point ended with less what it began with, together."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for point, tally in held:
        first.setdefault(point, tally.first)
        last[point] = tally.last
    return _summed(last[point] - before.get((point, variable), first[point]) for point in last)


def last_before(point: str, variables: Iterable[str], earlier: Iterable[Part]) -> dict[tuple[str, str], float]:
    """The last values of variables in the parts of a point, which are given newest first."""
    found: dict[tuple[str, str], float] = {}
    wanted = set(variables)
    for part in earlier:
        for variable in wanted.intersection(part.tallies):
            found.setdefault((point, variable), part.tallies[variable].last)
    return found


def with_other_end(variables: Iterable[str], old: Part | None, new: Part | None) -> set[str]:
    """Variables whose last value in a part is another now."""

    def last(part: Part | None, variable: str) -> float | None:
        tally = part.tallies.get(variable) if part else None
        return tally.last if tally else None

    return {variable for variable in variables if last(old, variable) != last(new, variable)}
