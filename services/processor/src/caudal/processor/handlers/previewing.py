"""Try a schema on a stretch of time: the records that it would give, computed as the kept ones are, and not kept."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.schemas import RecordPeriod, Schema, checked_schema
from caudal.processor.domain.records import BEFORE, Instant, Part, Record, RecordPlan, parts_of, record_of, record_plan
from caudal.processor.domain.slots import LONGEST_DAY, LONGEST_MONTH
from caudal.processor.handlers.recording import RecordDesk
from caudal.processor.ports import RecordUnit

MAX_ROWS = 20_000
"""Rows of the ledger that are read: some tenths of a second."""
MAX_BYTES = 100_000
"""Of the records that are told, as JSON: a message holds no more than 256 KiB."""
LONGEST = timedelta(days=31)
"""From the first to the last instant that is asked for."""
_NEXT = {
    RecordPeriod.HOUR: timedelta(hours=1),
    RecordPeriod.DAY: LONGEST_DAY,
    RecordPeriod.MONTH: LONGEST_MONTH,
}
"""From the beginning of a period to an instant in the next one."""

Ends = dict[tuple[str, str], tuple[datetime, float]]
"""By point and variable: the last value so far, and when the part begins that it is in."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried, and on what."""

    schema: Schema
    points: tuple[str, ...]
    start: datetime
    end: datetime


def trial_from(params: dict[str, Any]) -> Trial:
    """What an order asks for.

    Raises:
        InvalidInput: it asks for nothing that can be tried.
    """
    try:
        trial = msgspec.convert(params, Trial, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput("schema", str(error)) from error
    checked_schema(trial.schema)
    if trial.start.tzinfo is None or trial.end.tzinfo is None or trial.start >= trial.end:
        raise InvalidInput("to", "must be after `from`")
    if trial.end - trial.start > LONGEST:
        raise InvalidInput("to", f"must be at most {LONGEST.days} days after `from`")
    return trial


async def preview(desk: RecordDesk, params: dict[str, Any]) -> dict[str, Any]:
    """The records of the periods that the stretch touches, each whole, oldest first, and how many were left off.

    Raises:
        InvalidInput: what is asked for cannot be tried, or is too much.
        Transient: the database is away.
    """
    trial = trial_from(params)
    plan = record_plan(trial.schema)
    parts, ends = await _parts(desk, plan, trial)
    slots = _slots(plan, parts)
    told: list[Any] = []
    size = 0
    for record in _records(plan, slots, ends):
        size += len(msgspec.json.encode(record))
        if size > MAX_BYTES:
            break
        told.append(msgspec.to_builtins(record))
        # One takes up to some hundredths of a second, in which nobody else is heard.
        await asyncio.sleep(0)
    return {"records": told, "left_off": len(slots) - len(told), "points": list(trial.points)}


class _Bounded:
    """Reads rows of the ledger, as many as may be read for one trial."""

    def __init__(self, unit: RecordUnit, left: int) -> None:
        self._unit = unit
        self.left = left

    async def instants(self, point: str, start: datetime, end: datetime) -> list[Instant]:
        """Values of the rows of [start, end).

        Raises:
            InvalidInput: there are too many.
        """
        found = await self._unit.instants(point, start, end, self.left + 1)
        self.left -= len(found)
        if self.left < 0:
            raise InvalidInput("to", f"there are more than {MAX_ROWS} readings: choose a shorter time, or fewer points")
        return found


async def _parts(desk: RecordDesk, plan: RecordPlan, trial: Trial) -> tuple[list[Part], Ends]:
    """Parts of the stretch, and what the growing variables of each point were before it."""
    start = plan.record_start(plan.part_start(trial.start))
    end = _following(plan, trial.end - timedelta(microseconds=1))
    parts: list[Part] = []
    ends: Ends = {}
    left = MAX_ROWS
    for code in trial.points:
        point = await desk.catalog.point(code)
        group = plan.group_of(point)
        if point is None or group is None:
            continue
        async with desk.book.unit() as unit:
            rows = _Bounded(unit, left)
            parts += parts_of(plan, code, group, await rows.instants(code, start, end))
            ends |= await _ends_before(rows, plan, point, start)
        left = rows.left
    return parts, ends


async def _ends_before(rows: _Bounded, plan: RecordPlan, point: Point, start: datetime) -> Ends:
    """What the growing variables of a point were before `start`."""
    found: Ends = {}
    wanted = plan.growing_of(point)
    # Mostly the day before says it; a month of rows is read only where it does not.
    for reach in (timedelta(days=1), BEFORE):
        if len(found) < len(wanted):
            earlier = await rows.instants(point.code, start - reach, start)
            found = _ends_of(plan, parts_of(plan, point.code, "", earlier))
    return found


def _ends_of(plan: RecordPlan, parts: Iterable[Part]) -> Ends:
    """What the growing variables were last in parts that are given in order of time."""
    return {
        (part.point, code): (part.starts_at, tally.last)
        for part in parts
        for code, tally in part.tallies.items()
        if code in plan.growing
    }


def _slots(plan: RecordPlan, parts: Iterable[Part]) -> dict[tuple[datetime, str], list[Part]]:
    """By start and group what each record is made of, in order of point and time."""
    slots: dict[tuple[datetime, str], list[Part]] = defaultdict(list)
    for part in sorted(parts, key=lambda part: (part.point, part.starts_at)):
        slots[plan.record_start(part.starts_at), part.group].append(part)
    return slots


def _records(plan: RecordPlan, slots: Mapping[tuple[datetime, str], list[Part]], ends: Ends) -> Iterator[Record]:
    """Records, oldest first, each computed when it is asked for."""
    for start, group in sorted(slots):
        held = slots[start, group]
        before = {key: value for key, (at, value) in ends.items() if at >= start - BEFORE}
        yield record_of(plan, group, start, held, before)
        ends = ends | _ends_of(plan, held)


def _following(plan: RecordPlan, at: datetime) -> datetime:
    """When the period after that of `at` begins."""
    start = plan.record_start(plan.part_start(at))
    return plan.record_start(plan.part_start(start + _NEXT[plan.schema.period]))
