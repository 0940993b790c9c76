"""Compute records of dynamic schemas: of what changed in the ledger, and all of them again where that is needed."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

import msgspec
import structlog

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import Result
from caudal.common.bus.topics import SCHEMA_RESULT
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.schemas import GroupBy
from caudal.common.domain.series import END_OF_TIME, FIRST_INSTANT
from caudal.common.ports import Catalog, Clock, Outgoing, Publisher
from caudal.processor.domain.records import (
    BEFORE,
    Part,
    RecordPlan,
    last_before,
    parts_of,
    record_of,
    record_plan,
    with_other_end,
)
from caudal.processor.domain.slots import LONGEST_DAY
from caudal.processor.handlers.telling import Teller
from caudal.processor.ports import Entry, Ledger, RecordBook, RecordOrder, RecordUnit, Schemas, Sink

LETTERS_AT_ONCE = 100
"""Letters taken together: however often a period is touched in them, it is computed once."""
SLOTS_AT_ONCE = 100
"""Parts, or records, computed in one transaction."""
STRETCH = timedelta(days=7)
"""How much of a point's rows is read at a time when all of them are."""
NEAR, ALL = 2, 2000
"""Parts looked at for what was before: mostly the next one says it; in a month there are fewer than `ALL`."""

RecordKey = tuple[str, datetime]
"""Group and start of a record."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RecordDesk:
    """What computing records works with."""

    book: RecordBook
    ledger: Ledger
    schemas: Schemas
    catalog: Catalog
    publisher: Publisher
    clock: Clock


def record_teller(desk: RecordDesk, monotonic: Callable[[], float]) -> Teller:
    """Computes what the outbox of records says, one process at a time."""
    return Teller(desk.ledger, Sink.RECORDS, partial(compute, desk), monotonic, at_once=LETTERS_AT_ONCE)


async def order(desk: RecordDesk, orders: Sequence[RecordOrder]) -> None:
    """Have records computed, whatever happens in between; nothing, where nobody listens."""
    if orders and desk.ledger.listens(Sink.RECORDS):
        async with desk.ledger.unit() as unit:
            await unit.enqueue(Sink.RECORDS, Entry(orders=list(orders)))


async def review(desk: RecordDesk, devices: Collection[str]) -> None:
    """Have it looked at whose the points of these devices are: their entries in the catalog changed."""
    if desk.ledger.listens(Sink.RECORDS):
        points = [await desk.catalog.point_of(device) for device in sorted(devices)]
        codes = {point.code if point else None for point in points}
        await order(desk, [RecordOrder(point=code) for code in sorted(codes, key=str)])


async def listen(desk: RecordDesk) -> bool:
    """From now on, or no longer, note what changes, as there are schemas; whether there are."""
    is_wanted = bool(await desk.schemas.active()) or bool(await desk.book.schemas())
    desk.ledger.listen(Sink.RECORDS, is_wanted)
    return is_wanted


async def compute(desk: RecordDesk, entries: Sequence[Entry]) -> int:
    """Compute the records that these are about; how many rows and orders that were."""
    touched: dict[str, set[datetime]] = defaultdict(set)
    for row in (row for entry in entries for row in entry.rows):
        touched[row.point].add(row.at)
    orders = [order for entry in entries for order in entry.orders]
    if not touched and not orders:
        return 0
    plans = await _plans(desk)
    for plan in plans.values():
        await _refresh(desk, plan, touched)
    for order in orders:
        await _obey(desk, plans, order)
    return sum(len(instants) for instants in touched.values()) + len(orders)


async def _plans(desk: RecordDesk) -> dict[str, RecordPlan]:
    plans = {}
    for schema in await desk.schemas.active():
        try:
            plans[schema.code] = record_plan(schema)
        except InvalidInput as error:
            _log.error("a schema cannot be read", schema=schema.code, reason=str(error))
    return plans


async def _obey(desk: RecordDesk, plans: Mapping[str, RecordPlan], order: RecordOrder) -> None:
    if order.schema is not None:
        count = await _recompute(desk, plans.get(order.schema), order.schema)
        if order.command is not None:
            result = Result(id=order.command, ok=True, detail={"records": count}, timestamp=desk.clock.now())
            address = SCHEMA_RESULT.address(schema=order.schema)
            await desk.publisher.publish([Outgoing(address, encode(result))])
        return
    points = [order.point] if order.point is not None else await _gone(desk)
    for point in points:
        for plan in plans.values():
            await _review(desk, plan, point)


async def _gone(desk: RecordDesk) -> list[str]:
    """Points of which there are parts, and that the catalog does not have."""
    return [point for point in await desk.book.points() if await desk.catalog.point(point) is None]


# ---------------------------------------------------------------- what changed


async def _refresh(desk: RecordDesk, plan: RecordPlan, touched: Mapping[str, Iterable[datetime]]) -> None:
    """Compute the parts in which instants were touched, and the records that they belong to."""
    groups = {point: plan.group_of(await desk.catalog.point(point)) for point in touched}
    slots = iter(sorted({(point, plan.part_start(at)) for point, instants in touched.items() for at in instants}))
    while some := list(islice(slots, SLOTS_AT_ONCE)):
        dirty: set[RecordKey] = set()
        async with desk.book.unit() as unit:
            for point, start in some:
                dirty |= await _refresh_part(unit, plan, point, start, groups[point])
            await _write_records(desk, unit, plan, dirty)


async def _refresh_part(
    unit: RecordUnit, plan: RecordPlan, point: str, start: datetime, group: str | None
) -> set[RecordKey]:
    """Compute one part; the records that it changes."""
    old, new = await unit.part(plan.schema.code, point, start), None
    if group is not None:
        near = await unit.instants(point, start, start + LONGEST_DAY)
        new = next(iter(parts_of(plan, point, group, (one for one in near if plan.part_start(one.at) == start))), None)
    if old == new:
        return set()
    just = timedelta(microseconds=1)
    await unit.put_parts(plan.schema.code, point, start, start + just, [new] if new else [])
    dirty = {(part.group, plan.record_start(start)) for part in (old, new) if part is not None}
    return dirty | await _followers(unit, plan, point, start + just, with_other_end(plan.growing, old, new))


async def _followers(
    unit: RecordUnit, plan: RecordPlan, point: str, start: datetime, ended: set[str]
) -> set[RecordKey]:
    """The records that count an increase from values that a part before `start` ended with."""
    dirty: set[RecordKey] = set()
    if ended:
        for part in await unit.parts(plan.schema.code, point, start, start + 2 * BEFORE, ALL):
            if not ended.isdisjoint(part.tallies):
                dirty.add((part.group, plan.record_start(part.starts_at)))
                ended = ended - part.tallies.keys()
            if not ended:
                break
    return dirty


# ---------------------------------------------------------------- all of it


async def _recompute(desk: RecordDesk, plan: RecordPlan | None, code: str) -> int:
    """Compute all records of a schema anew; how many. Of one that is gone, all are forgotten."""
    if plan is None:
        await desk.book.forget(code)
        await listen(desk)
        return 0
    count, shared = 0, set[RecordKey]()
    for point in sorted({*await desk.ledger.points(), *await desk.book.points()}):
        dirty = await _refresh_all(desk, plan, point)
        # A point's own records need no other's parts. Those of a client wait for all, and are not more than periods.
        own = {key for key in dirty if key[0] == point} if plan.schema.group_by is GroupBy.POINT else set[RecordKey]()
        await _write_all(desk, plan, own)
        count += len(own)
        shared |= dirty - own
    await _write_all(desk, plan, shared)
    await desk.book.forget(code, besides=definition_of(plan))
    return count + len(shared)


async def _review(desk: RecordDesk, plan: RecordPlan, point: str) -> None:
    """Compute anew what a point contributes, if it belongs to another group than it did."""
    there = await desk.catalog.point(point)
    known = await desk.book.group_of(plan.schema.code, point)
    if known is None and not (there and any(plan.uses(variable) for variable in there.variables)):
        return
    if plan.group_of(there) != known:
        await _write_all(desk, plan, await _refresh_all(desk, plan, point))


async def _refresh_all(desk: RecordDesk, plan: RecordPlan, point: str) -> set[RecordKey]:
    """Compute all parts of a point; the records they belong to, whether they changed or not."""
    group = plan.group_of(await desk.catalog.point(point))
    dirty: set[RecordKey] = set()
    cursor: datetime | None = FIRST_INSTANT
    while cursor is not None:
        async with desk.book.unit() as unit:
            first = await unit.next_instant(point, cursor) if group is not None else None
            until = plan.part_start(plan.part_start(first) + STRETCH) if first is not None else END_OF_TIME
            instants = await unit.instants(point, first, until) if first is not None else []
            new = parts_of(plan, point, group or "", instants)
            old = await unit.parts(plan.schema.code, point, cursor, until, None)
            await unit.put_parts(plan.schema.code, point, cursor, until, new)
        dirty |= {(part.group, plan.record_start(part.starts_at)) for part in (*old, *new)}
        cursor = until if first is not None else None
    return dirty


# ---------------------------------------------------------------- records


async def _write_all(desk: RecordDesk, plan: RecordPlan, dirty: Iterable[RecordKey]) -> None:
    keys = iter(sorted(dirty))
    while some := list(islice(keys, SLOTS_AT_ONCE)):
        async with desk.book.unit() as unit:
            await _write_records(desk, unit, plan, some)


async def _write_records(desk: RecordDesk, unit: RecordUnit, plan: RecordPlan, dirty: Iterable[RecordKey]) -> None:
    for group, start in sorted(dirty):
        near = await unit.parts_of_group(plan.schema.code, group, start, plan.record_reach(start))
        parts = [part for part in near if plan.record_start(part.starts_at) == start]
        if parts:
            record = record_of(plan, group, start, parts, await _before(unit, plan, start, parts))
            await unit.put_record(plan.schema, record, definition_of(plan), desk.clock.now())
        else:
            await unit.drop_record(plan.schema.code, group, start)


async def _before(
    unit: RecordUnit, plan: RecordPlan, start: datetime, parts: Sequence[Part]
) -> dict[tuple[str, str], float]:
    """What each point's growing variables were before `start`."""
    found: dict[tuple[str, str], float] = {}
    for point in sorted({part.point for part in parts}) if plan.growing else ():
        for limit in (NEAR, ALL):
            earlier = await unit.parts(plan.schema.code, point, start - BEFORE, start, limit, newest_first=True)
            told = last_before(point, plan.growing, earlier)
            if len(told) == len(plan.growing) or len(earlier) < limit:
                break
        found |= told
    return found


def definition_of(plan: RecordPlan) -> str:
    """Digest of what a schema says about its records."""
    schema = plan.schema
    said = (schema.client, schema.period, schema.time_zone, schema.group_by, schema.points, schema.fields, schema.rules)
    return hashlib.blake2b(msgspec.json.encode(said), digest_size=16).hexdigest()
