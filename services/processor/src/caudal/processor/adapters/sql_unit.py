"""One transaction on the ledger.

Rows, heads and outbox entries of all points are gathered and written together: a statement for a thousand rows costs
little more than one for a single row. What is read back in the same transaction is written first.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.common.bus.messages import Rejected
from caudal.common.domain.readings import RawStatus
from caudal.processor.adapters import rows as mapping
from caudal.processor.adapters.execution import LETTERS, Execution
from caudal.processor.adapters.statements import Tuples
from caudal.processor.adapters.tables import RAW, REJECTED, ROWS
from caudal.processor.domain.ledger import Row
from caudal.processor.ports import Entry, Head, Letter, RawRecord, Sink

ENTRIES_PER_BODY = 32
"""Entries that share a row of the outbox, of some 200 readings each at most."""
ENTRIES_GATHERED = 256
"""More are written before the end, which bounds memory however far a late reading reaches."""


class _Gathered:
    """What waits to be written together."""

    def __init__(self) -> None:
        self.raw: list[tuple[Any, ...]] = []
        self.new_rows: dict[tuple[str, datetime], tuple[Any, ...]] = {}
        self.rows: dict[tuple[str, datetime], tuple[Any, ...]] = {}
        self.heads: dict[str, tuple[Any, ...]] = {}
        self.told: dict[Sink, list[Entry]] = {sink: [] for sink in Sink}

    def tuples(self) -> dict[str, Tuples]:
        """By the name of the statement that inserts them."""
        return {
            "add_raw": self.raw,
            "add_rows": list(self.new_rows.values()),
            "put_rows": list(self.rows.values()),
            "put_heads": list(self.heads.values()),
            LETTERS: [(sink.value, mapping.outbox_body(entries)) for sink, entries in self.letters()],
        }

    def letters(self) -> list[tuple[Sink, list[Entry]]]:
        """What each sink is told, in parts that are not too large."""
        return [
            (sink, entries[i : i + ENTRIES_PER_BODY])
            for sink, entries in self.told.items()
            for i in range(0, len(entries), ENTRIES_PER_BODY)
        ]


class SqlLedgerUnit:
    """See `ports.LedgerUnit`."""

    def __init__(self, connection: AsyncConnection, execution: Execution, deaf: Collection[Sink] = ()) -> None:
        self._connection = connection
        self._execution = execution
        self._deaf = deaf
        """Sinks for which nothing is kept."""
        self._gathered = _Gathered()
        self._only_adds = True
        """Whether no row that was there before is written."""

    async def commit(self) -> dict[Sink, list[Letter]] | None:
        """Write what was gathered, and end the transaction.

        Returns the letters for each sink, if they tell of new rows only, which no other letter can be about; else None.

        Raises:
            Overtaken: another replica was faster; nothing was kept.
        """
        numbers = await self._execution.commit(self._gathered.tuples())
        letters = self._gathered.letters()
        if not self._only_adds or len(numbers) != len(letters):
            return None
        left: dict[Sink, list[Letter]] = {sink: [] for sink in Sink}
        for number, (sink, entries) in zip(numbers, letters, strict=True):
            left[sink].append(Letter(number, entries))
        return left

    async def _flush(self) -> None:
        """Write what was gathered, so that it can be read back."""
        self._only_adds = False
        gathered, self._gathered = self._gathered, _Gathered()
        await self._execution.insert(gathered.tuples())

    async def lock(self, points: Sequence[str]) -> dict[str, Head]:
        """Hold the heads of these points until the end, in one order for all replicas."""
        if not points:
            return {}
        found = await self._execution.heads(points)
        if len(found) < len(points):
            known = {point for point, _, _ in found}
            new = [(point, None, None) for point in sorted(points) if point not in known]
            await self._execution.insert({"add_heads": new})
            found = await self._execution.heads(points)
        return {point: mapping.head_from(at, state) for point, at, state in found if at is not None and state}

    async def row_before(self, point: str, at: datetime) -> Row | None:
        """The last row measured before `at`."""
        await self._flush()
        last = select(ROWS).where(ROWS.c.point == point, ROWS.c.measured_at < at)
        found = await self._connection.execute(last.order_by(ROWS.c.measured_at.desc()).limit(1))
        columns = found.mappings().first()
        return mapping.row_from(columns) if columns else None

    async def rows(
        self, point: str, start: datetime, end: datetime | None = None, limit: int | None = None
    ) -> list[Row]:
        """Rows of [start, end), oldest first."""
        await self._flush()
        wanted = select(ROWS).where(ROWS.c.point == point, ROWS.c.measured_at >= start)
        if end is not None:
            wanted = wanted.where(ROWS.c.measured_at < end)
        found = await self._connection.execute(wanted.order_by(ROWS.c.measured_at).limit(limit))
        return [mapping.row_from(columns) for columns in found.mappings()]

    async def add_rows(self, point: str, rows: Sequence[Row]) -> None:
        """Insert rows of instants that have none."""
        self._gathered.new_rows |= {(point, row.at): mapping.row_columns(point, row) for row in rows}

    async def replace_rows(self, point: str, rows: Sequence[Row]) -> None:
        """Put rows in the place of those of the same instants."""
        if rows:
            self._only_adds = False
        for row in rows:
            gathered = self._gathered
            into = gathered.new_rows if (point, row.at) in gathered.new_rows else gathered.rows
            into[point, row.at] = mapping.row_columns(point, row)

    async def save_heads(self, heads: dict[str, Head]) -> None:
        """Where the ledger of each of these points ends now."""
        self._gathered.heads |= {point: mapping.head_columns(point, head) for point, head in heads.items()}

    async def archive(self, records: Sequence[RawRecord]) -> None:
        """Keep raw readings; one that is there already stays as it is."""
        self._gathered.raw += [mapping.raw_columns(record) for record in records]

    async def mark(self, records: Sequence[RawRecord]) -> None:
        """Set point, status and reason of raw readings that are kept already."""
        await self._execution.begin()
        for record in records:
            new = {"point": record.point, "status": record.status, "reason": record.reason}
            await self._connection.execute(update(RAW).where(RAW.c.id == record.id).values(new))

    async def supersede(self, ids: Sequence[str], reason: str) -> None:
        """These raw readings have no standing value any more: SKIPPED, unless they never had one."""
        if ids:
            await self._execution.begin()
            had_values = (RAW.c.id.in_(ids)) & (RAW.c.values_json != "{}")
            skipped = {"status": RawStatus.SKIPPED, "reason": reason}
            await self._connection.execute(update(RAW).where(had_values).values(skipped))

    async def unclaimed(self, device: str, limit: int) -> list[RawRecord]:
        """PENDING raw readings of a device, oldest measurement first."""
        await self._execution.begin()
        pending = select(RAW).where(RAW.c.device == device, RAW.c.status == RawStatus.PENDING)
        found = await self._connection.execute(pending.order_by(RAW.c.measured_at, RAW.c.id).limit(limit))
        return [mapping.raw_from(columns) for columns in found.mappings()]

    async def failed(self, device: str, first: datetime, last: datetime) -> list[RawRecord]:
        """FAILED raw readings of a device that have values, measured from `first` to `last`."""
        await self._execution.begin()
        wanted = select(RAW).where(RAW.c.device == device, RAW.c.measured_at.between(first, last))
        failed = wanted.where(RAW.c.status == RawStatus.FAILED, RAW.c.values_json != "{}")
        return [mapping.raw_from(columns) for columns in (await self._connection.execute(failed)).mappings()]

    async def collect(self, records: Sequence[RawRecord]) -> None:
        """Keep the latest version per (unit, time)."""
        if not records:
            return
        latest: dict[tuple[str, datetime], RawRecord] = {}
        for record in records:
            key = (record.device, record.reading.measured_at)
            if key not in latest or _version(record) > _version(latest[key]):
                latest[key] = record
        columns = [mapping.window_columns(record) for record in latest.values()]
        await self._execution.insert({"put_window_rows": columns})

    async def reject(self, rejected: Sequence[Rejected]) -> None:
        """Keep what could not be read; one that is there already stays as it is."""
        await self._execution.insert({"add_rejected": [mapping.rejected_columns(one) for one in rejected]})

    async def mark_replayed(self, rejected_id: str, at: datetime) -> bool:
        """Say that a rejected payload was published again; whether there is such a one."""
        await self._execution.begin()
        mark = update(REJECTED).where(REJECTED.c.id == rejected_id).values(replayed_at=at)
        return (await self._connection.execute(mark)).rowcount > 0

    async def enqueue(self, sink: Sink, entry: Entry) -> None:
        """Tell the world later, in this order; nothing, where nobody listens."""
        if sink in self._deaf:
            return
        told = self._gathered.told[sink]
        told.append(entry)
        if len(told) >= ENTRIES_GATHERED:
            await self._flush()


def _version(record: RawRecord) -> tuple[datetime, str]:
    return (record.reading.received_at, record.id)
