"""Readings into the ledger: as they come, when a point claims its device, and again under another configuration."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import NotFound
from caudal.common.domain.readings import Inlet, RawStatus
from caudal.common.ports import Catalog
from caudal.processor.domain.ledger import Measured, Row, digest_of, measured_in, merged
from caudal.processor.domain.plans import Timeline, timeline_for
from caudal.processor.handlers.weaving import ROWS_AT_ONCE, Weaver
from caudal.processor.ports import Head, Ledger, LedgerUnit, RawRecord

CLAIMED_AT_ONCE = 1000
"""Raw readings taken into the ledger in one transaction when a point claims their device."""

SUPERSEDED = "delivered again, or corrected by a later reading of the same instant"

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Desk:
    """What the handlers of readings work with."""

    ledger: Ledger
    catalog: Catalog
    _timelines: dict[str, tuple[Point, Timeline]] = field(default_factory=dict)

    def timeline(self, point: Point) -> Timeline:
        """The plans of a point, made once for each time that its configuration is read."""
        known = self._timelines.get(point.code)
        if known is None or known[0] is not point:
            known = (point, timeline_for(point))
            self._timelines[point.code] = known
        return known[1]


async def keep(desk: Desk, bundles: Sequence[RawReadings]) -> int:
    """Archive what came, fold what a point claims, queue what changed, in one transaction; how many rows changed.

    Readings that were delivered before change nothing. Those of unknown devices wait as PENDING.
    """
    points: dict[str, Point] = {}
    claimed: dict[str, list[RawRecord]] = defaultdict(list)
    kept: list[RawRecord] = []
    for bundle in bundles:
        point = await desk.catalog.point_of(bundle.device)
        if point is not None:
            points[point.code] = point
        into = kept if point is None else claimed[point.code]
        into.extend([_record(bundle, reading, point) for reading in bundle.readings])
    changed = 0
    async with desk.ledger.unit() as unit:
        heads = await unit.lock(sorted(points))
        for code, point in points.items():
            rows, judged = await _take_in(desk, unit, point, heads.get(code), claimed[code])
            changed += rows
            kept += judged
        await unit.archive(kept)
        await unit.collect([record for record in kept if record.inlet is Inlet.WINDOW])
    return changed


async def claim(desk: Desk, device: str) -> int:
    """Fold the PENDING readings of a device, if a point claims it; how many were taken in."""
    taken = 0
    while (point := await desk.catalog.point_of(device)) is not None:
        async with desk.ledger.unit() as unit:
            heads = await unit.lock([point.code])
            records = await unit.unclaimed(device, CLAIMED_AT_ONCE)
            _, judged = await _take_in(desk, unit, point, heads.get(point.code), records)
            await unit.mark(judged)
        taken += len(records)
        if len(records) < CLAIMED_AT_ONCE:
            break
    return taken


async def fold_again(
    desk: Desk, point_code: str, start: datetime | None = None, end: datetime | None = None
) -> tuple[int, int]:
    """Fold the rows of [start, end) as the catalog has their configuration now, and on until nothing changes.

    Returns how many rows there were, and how many changed.

    Raises:
        NotFound: there is no such point.
    """
    point = await desk.catalog.point(point_code)
    if point is None:
        raise NotFound("point", point_code)
    seen = changed = 0
    cursor = start or BEGINNING
    is_last = False
    while not is_last:
        async with desk.ledger.unit() as unit:
            heads = await unit.lock([point.code])
            ahead = await unit.rows(point.code, cursor, end, ROWS_AT_ONCE + 1)
            rows, is_last = ahead[:ROWS_AT_ONCE], len(ahead) <= ROWS_AT_ONCE
            weaver = Weaver(unit, point, desk.timeline(point), heads.get(point.code))
            changed += (await weaver.weave({row.at: {} for row in rows}, onwards=is_last)).changed
            await _judge_again(desk, unit, point, rows)
        seen += len(rows)
        if rows:
            cursor = rows[-1].at + timedelta(microseconds=1)
    return seen, changed


async def _judge_again(desk: Desk, unit: LedgerUnit, point: Point, rows: Sequence[Row]) -> None:
    """Raw readings that no variable of the point could use may be of use now."""
    if rows:
        failed = await unit.failed(point.device, rows[0].at, rows[-1].at)
        standing = {row.at: {measured.digest for measured in row.measured.values()} for row in rows}
        await unit.mark([_judged(record, point.code, desk.timeline(point), standing) for record in failed])


def _record(bundle: RawReadings, reading: RawReading, point: Point | None) -> RawRecord:
    """A raw record as it mostly ends; what a point claims is yet to be judged."""
    return RawRecord(
        id=digest_of(bundle.device, reading),
        device=bundle.device,
        inlet=bundle.inlet,
        reading=reading,
        status=RawStatus.COMPLETED if point else RawStatus.PENDING,
        point=point.code if point else None,
        provider=bundle.provider,
        window=bundle.window,
        source_format=bundle.source_format,
    )


async def _take_in(
    desk: Desk, unit: LedgerUnit, point: Point, head: Head | None, records: Sequence[RawRecord]
) -> tuple[int, list[RawRecord]]:
    """Fold raw readings into a point: how many rows changed, and the records with what became of each."""
    delivered: dict[datetime, dict[str, Measured]] = {}
    for record in records:
        if brought := measured_in(record.reading, record.id):
            at = record.reading.measured_at
            delivered[at] = merged(delivered[at], brought) if at in delivered else brought
    woven = await Weaver(unit, point, desk.timeline(point), head).weave(delivered)
    await unit.supersede(sorted(woven.superseded), SUPERSEDED)
    timeline = desk.timeline(point)
    return woven.changed, [_judged(record, point.code, timeline, woven.standing) for record in records]


def _judged(record: RawRecord, point: str, timeline: Timeline, standing: Mapping[datetime, set[str]]) -> RawRecord:
    """A raw record with its status: SKIPPED if none of its values stands, FAILED if none could be used."""
    reading = record.reading
    status, reason = RawStatus.COMPLETED, ""
    if not reading.values:
        status = RawStatus.FAILED
        reason = "; ".join(f"{code}: {why}" for code, why in reading.problems.items()) or "no values"
    elif record.id not in standing.get(reading.measured_at, ()):
        status, reason = RawStatus.SKIPPED, SUPERSEDED
    elif timeline.at(reading.measured_at).codes.isdisjoint(reading.values):
        status = RawStatus.FAILED
        reason = f"point {point} has no variable named {', '.join(sorted(reading.values))}"[:500]
    if (record.point, record.status, record.reason) == (point, status, reason):
        return record
    return msgspec.structs.replace(record, point=point, status=status, reason=reason)
