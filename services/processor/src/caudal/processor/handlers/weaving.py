"""Weave delivered readings into a point's ledger, reading and writing some hundred rows at a time."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from caudal.common.domain.catalog import Point
from caudal.processor.domain.fold import EMPTY
from caudal.processor.domain.ledger import Measured, Row
from caudal.processor.domain.plans import Timeline
from caudal.processor.domain.publication import publications
from caudal.processor.domain.weave import Change, Weave
from caudal.processor.ports import Entry, Head, LedgerUnit, Sink

ROWS_AT_ONCE = 500
"""Rows read, folded and written in one go; bounds memory, however far a late reading reaches."""

Delivered = Mapping[datetime, dict[str, Measured]]
"""What came for each instant of one point, ordered by variable; nothing for an instant that is only folded again."""


@dataclass
class Woven:
    """What a weave did."""

    changed: int = 0
    """Rows whose values are new or different."""
    standing: dict[datetime, set[str]] = field(default_factory=dict)
    """For each delivered instant the raw readings whose values stand."""
    superseded: set[str] = field(default_factory=set)
    """Raw readings that stood before and have no value left."""


class Weaver:
    """Weaves into one point within one transaction, whose lock on the point it relies on."""

    def __init__(self, unit: LedgerUnit, point: Point, timeline: Timeline, head: Head | None) -> None:
        self._unit = unit
        self._point = point
        self._timeline = timeline
        self._head = head
        self._woven = Woven()

    async def weave(self, delivered: Delivered, *, onwards: bool = True) -> Woven:
        """Fold what was delivered where it belongs, and what follows until it agrees with what stands.

        Args:
            delivered: By instant, in any order.
            onwards: False leaves the rows after the last delivered instant to a later call.
        """
        queue = deque(sorted(delivered))
        while queue:
            if self._head is None or queue[0] > self._head.at:
                await self._append(queue, delivered)
            else:
                await self._insert(queue, delivered, onwards)
        if self._head is not None:
            await self._unit.save_heads({self._point.code: self._head})
        return self._woven

    async def _append(self, queue: deque[datetime], delivered: Delivered) -> None:
        """The usual case: all that is left comes after the end of the ledger."""
        weave = Weave(self._timeline, self._head.state if self._head else EMPTY)
        first = queue[0]
        while queue:
            at = queue.popleft()
            self._fold(weave, at, None, delivered[at])
        await self._close(weave, first)

    async def _insert(self, queue: deque[datetime], delivered: Delivered, onwards: bool) -> None:
        """Start behind the predecessor of the first instant; end where the ledger agrees, or ends."""
        first = queue[0]
        before = await self._unit.row_before(self._point.code, first)
        weave = Weave(self._timeline, before.state if before else EMPTY)
        since = weave.state.in_doubt_since()
        if since is not None:
            weave.reopen(await self._unit.rows(self._point.code, since, first))
        cursor = first
        while True:
            chunk = await self._unit.rows(self._point.code, cursor, limit=ROWS_AT_ONCE)
            if self._through(weave, chunk, queue, delivered, onwards):
                break
            if len(chunk) < ROWS_AT_ONCE:
                while queue:
                    at = queue.popleft()
                    self._fold(weave, at, None, delivered[at])
                break
            cursor = chunk[-1].at + timedelta(microseconds=1)
            await self._write(weave.take_settled())
        await self._close(weave, first)

    def _through(
        self, weave: Weave, chunk: Sequence[Row], queue: deque[datetime], delivered: Delivered, onwards: bool
    ) -> bool:
        """Fold a chunk of stored rows and what belongs between them; whether the rest stands as it is."""
        for stored in chunk:
            while queue and queue[0] < stored.at:
                at = queue.popleft()
                self._fold(weave, at, None, delivered[at])
            if queue and queue[0] == stored.at:
                self._fold(weave, queue.popleft(), stored, delivered[stored.at])
            elif not queue and not onwards:
                return True
            else:
                self._fold(weave, stored.at, stored, {})
            if (not queue or queue[0] > chunk[-1].at) and weave.agrees_with(stored):
                return True
        return False

    def _fold(self, weave: Weave, at: datetime, stored: Row | None, delivered: dict[str, Measured]) -> None:
        row = weave.fold(at, stored, delivered, self._point.device, self._point.provider or "")
        if self._head is None or at >= self._head.at:
            self._head = Head(at, weave.state)
        if not delivered:
            return
        standing = {measured.digest for measured in row.measured.values()}
        self._woven.standing[at] = standing
        if stored is not None:
            self._woven.superseded |= {measured.digest for measured in stored.measured.values()} - standing

    async def _close(self, weave: Weave, first: datetime) -> None:
        for settlement in weave.open_settlements:
            weave.settle(await self._unit.rows(self._point.code, settlement.suspect.since, first), settlement)
        await self._write(weave.take_all())

    async def _write(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        code = self._point.code
        await self._unit.add_rows(code, [change.after for change in changes if change.before is None])
        await self._unit.replace_rows(code, [change.after for change in changes if change.before is not None])
        visible = [change for change in changes if change.is_visible]
        for told in publications(self._point, visible):
            await self._unit.enqueue(Sink.BUS, Entry(messages=told.messages))
            if told.rows:
                await self._unit.enqueue(Sink.STORE, Entry(rows=told.rows))
                await self._unit.enqueue(Sink.RECORDS, Entry(rows=told.rows))
        self._woven.changed += len(visible)
