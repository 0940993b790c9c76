"""Try a schema on a stretch of time: the records that it would give, computed as the kept ones are, and not kept."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.schemas import RecordPeriod, Schema, checked_schema
from caudal.processor.domain.records import BEFORE, Part, RecordPlan, last_before, parts_of, record_of, record_plan
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
    parts, before = await _parts(desk, plan, trial)
    records = [msgspec.to_builtins(record) for record in _records(plan, trial, parts, before)]
    told, size = 0, 0
    for record in records:
        size += len(msgspec.json.encode(record))
        told += size <= MAX_BYTES
    return {"records": records[:told], "left_off": len(records) - told}


async def _parts(desk: RecordDesk, plan: RecordPlan, trial: Trial) -> tuple[list[Part], dict[tuple[str, str], float]]:
    """Parts of the stretch, and what the growing variables of each point were before it."""
    start = plan.record_start(plan.part_start(trial.start))
    end = _following(plan, trial.end - timedelta(microseconds=1))
    parts: list[Part] = []
    before: dict[tuple[str, str], float] = {}
    left = MAX_ROWS
    for point in trial.points:
        group = plan.group_of(await desk.catalog.point(point))
        if group is None:
            continue
        async with desk.book.unit() as unit:
            instants = await unit.instants(point, start, end)
            told, looked_at = await _before(unit, plan, point, group, start)
        before |= told
        left -= len(instants) + looked_at
        if left < 0:
            raise InvalidInput("to", f"there are more than {MAX_ROWS} readings: choose a shorter time, or fewer points")
        parts += parts_of(plan, point, group, instants)
    return parts, before


async def _before(
    unit: RecordUnit, plan: RecordPlan, point: str, group: str, start: datetime
) -> tuple[dict[tuple[str, str], float], int]:
    """What growing variables were before `start`, and how many rows were read for it."""
    found: dict[tuple[str, str], float] = {}
    looked_at = 0
    # Mostly the day before says it; a month of rows is read only where it does not.
    for reach in (timedelta(days=1), BEFORE) if plan.growing else ():
        rows = await unit.instants(point, start - reach, start)
        looked_at += len(rows)
        found = last_before(point, plan.growing, reversed(parts_of(plan, point, group, rows)))
        if len(found) == len(plan.growing):
            break
    return found, looked_at


def _records(plan: RecordPlan, trial: Trial, parts: list[Part], before: dict[tuple[str, str], float]) -> list[Any]:
    slots: dict[tuple[datetime, str], list[Part]] = defaultdict(list)
    for part in parts:
        slots[plan.record_start(part.starts_at), part.group].append(part)
    made = []
    for (start, group), held in sorted(slots.items(), key=lambda slot: slot[0]):
        held.sort(key=lambda part: (part.point, part.starts_at))
        made.append(record_of(plan, group, start, held, before))
        for part in held:
            before = before | {(part.point, code): tally.last for code, tally in part.tallies.items()}
    return made


def _following(plan: RecordPlan, at: datetime) -> datetime:
    """When the period after that of `at` begins."""
    start = plan.record_start(plan.part_start(at))
    return plan.record_start(plan.part_start(start + _NEXT[plan.schema.period]))
