"""Stored series: samples page by page, and what is made of them over intervals."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from caudal.common.domain.catalog import UNITS, Point, VariableType
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Clock, Function, Sample, TelemetryStore
from caudal.gateway_api.domain.cursors import Cursor
from caudal.gateway_api.domain.intervals import Range, check_interval_count

WATER_TABLE_DEPTH = "water_table_depth"
"""What a level gives beside itself when its sensor's depth is known."""
MAX_SAMPLES = 100_000
"""Of one answer."""
EXPORTED_AT_ONCE = 50_000
"""Samples held while a whole range is written out."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SeriesDesk:
    """The ports that questions to the telemetry store need."""

    store: TelemetryStore
    clock: Clock
    retention: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesQuestion:
    """Which values are asked for."""

    point: str
    variables: tuple[str, ...]
    range: Range
    every: timedelta | None = None
    """None: the samples themselves."""
    function: Function = Function.MEAN


@dataclass(frozen=True, slots=True)
class SeriesPage:
    """Samples, and where to go on."""

    samples: list[Sample]
    next: Cursor | None


def units_of(point: Point) -> dict[str, str]:
    """Every variable whose values are stored, with the unit in which they are."""
    units = {variable.code: variable.unit or UNITS[variable.type] for variable in point.variables}
    if any(v.type is VariableType.LEVEL and v.sensor_depth_m is not None for v in point.variables):
        units.setdefault(WATER_TABLE_DEPTH, UNITS[VariableType.LEVEL])
    return units


def chosen_variables(point: Point, wanted: Sequence[str]) -> tuple[str, ...]:
    """The variables asked for, each once; all of the point's when none is named.

    Raises:
        InvalidInput: the point has no such variable.
    """
    units = units_of(point)
    for code in wanted:
        if code not in units:
            known = ", ".join(units) or "none"
            raise InvalidInput("variables", f"{code[:64]!r} is not one of point {point.code!r}, which has: {known}")
    return tuple(dict.fromkeys(wanted)) or tuple(units)


def archived_part(desk: SeriesDesk, asked: Range) -> Range | None:
    """The part of a range that is older than the retention, and so comes from the archive; None: nothing does."""
    boundary = desk.clock.now() - desk.retention
    return Range(asked.start, min(asked.end, boundary)) if asked.start < boundary else None


async def page(desk: SeriesDesk, question: SeriesQuestion, after: Cursor | None, limit: int) -> SeriesPage:
    """The next samples of a question, at most `limit`; all of them when it asks for intervals.

    Raises:
        Transient: the store is away.
        InvalidInput: it asks for more intervals than one answer holds.
    """
    if not question.variables:
        return SeriesPage([], None)
    if question.every is not None:
        return SeriesPage(await _intervals(desk, question, question.every), None)
    start = max(question.range.start, after.at + _MICROSECOND) if after else question.range.start
    if start >= question.range.end:
        return SeriesPage([], None)
    found = await desk.store.samples(question.point, question.variables, start, question.range.end, limit + 1)
    kept = found[:limit]
    return SeriesPage(kept, Cursor(kept[-1].at) if len(found) > limit else None)


async def _intervals(desk: SeriesDesk, question: SeriesQuestion, every: timedelta) -> list[Sample]:
    check_interval_count(question.range, every)
    if question.range.start >= question.range.end:
        return []
    return await desk.store.aggregate(
        question.point, question.variables, question.range.start, question.range.end, every, question.function
    )


async def pages(desk: SeriesDesk, question: SeriesQuestion) -> AsyncIterator[list[Sample]]:
    """All samples of a question, some at a time, oldest first."""
    after: Cursor | None = None
    while True:
        found = await page(desk, question, after, EXPORTED_AT_ONCE)
        yield found.samples
        if found.next is None:
            return
        after = found.next
