"""A ledger in memory: a unit works on a copy, and the copy takes the original's place when it commits."""

import copy
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from caudal.common.bus.messages import Rejected
from caudal.common.domain.readings import RawStatus
from caudal.processor.domain.ledger import Row
from caudal.processor.ports import Entry, Head, Letter, RawRecord, Sink, Tenure


@dataclass
class Tables:
    """What the tables hold."""

    raw: dict[str, RawRecord] = field(default_factory=dict)
    rows: dict[tuple[str, datetime], Row] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    outbox: dict[int, tuple[Sink, Entry]] = field(default_factory=dict)
    windows: dict[tuple[str, datetime], RawRecord] = field(default_factory=dict)
    rejected: dict[str, Rejected] = field(default_factory=dict)
    replayed: dict[str, datetime] = field(default_factory=dict)
    last_id: int = 0

    def copied(self) -> "Tables":
        """Another one with the same rows, which are frozen."""
        return Tables(**{name: copy.copy(value) for name, value in vars(self).items()})


class MemoryUnit:
    """See `ports.LedgerUnit`."""

    def __init__(self, tables: Tables, deaf: Collection[Sink] = ()) -> None:
        self._tables = tables
        self._deaf = deaf

    async def lock(self, points: Sequence[str]) -> dict[str, Head]:
        return {point: self._tables.heads[point] for point in points if point in self._tables.heads}

    async def row_before(self, point: str, at: datetime) -> Row | None:
        earlier = [row for (code, when), row in self._tables.rows.items() if code == point and when < at]
        return max(earlier, key=lambda row: row.at, default=None)

    async def rows(
        self, point: str, start: datetime, end: datetime | None = None, limit: int | None = None
    ) -> list[Row]:
        found = [
            row
            for (code, at), row in self._tables.rows.items()
            if code == point and at >= start and (end is None or at < end)
        ]
        return sorted(found, key=lambda row: row.at)[:limit]

    async def add_rows(self, point: str, rows: Sequence[Row]) -> None:
        assert not any((point, row.at) in self._tables.rows for row in rows)
        self._tables.rows.update({(point, row.at): row for row in rows})

    async def replace_rows(self, point: str, rows: Sequence[Row]) -> None:
        assert all((point, row.at) in self._tables.rows for row in rows)
        self._tables.rows.update({(point, row.at): row for row in rows})

    async def save_heads(self, heads: dict[str, Head]) -> None:
        self._tables.heads.update(heads)

    async def archive(self, records: Sequence[RawRecord]) -> None:
        for record in records:
            self._tables.raw.setdefault(record.id, record)

    async def mark(self, records: Sequence[RawRecord]) -> None:
        self._tables.raw.update({record.id: record for record in records})

    async def supersede(self, ids: Sequence[str], reason: str) -> None:
        for id_ in ids:
            if (record := self._tables.raw.get(id_)) and record.reading.values:
                self._tables.raw[id_] = msgspec.structs.replace(record, status=RawStatus.SKIPPED, reason=reason)

    async def unclaimed(self, device: str, limit: int) -> list[RawRecord]:
        pending = [r for r in self._tables.raw.values() if r.device == device and r.status is RawStatus.PENDING]
        return sorted(pending, key=lambda record: (record.reading.measured_at, record.id))[:limit]

    async def failed(self, device: str, first: datetime, last: datetime) -> list[RawRecord]:
        mine = [record for record in self._tables.raw.values() if record.device == device and record.reading.values]
        failed = [record for record in mine if record.status is RawStatus.FAILED]
        return [record for record in failed if first <= record.reading.measured_at <= last]

    async def collect(self, records: Sequence[RawRecord]) -> None:
        for record in records:
            key = (record.device, record.reading.measured_at)
            standing = self._tables.windows.get(key)
            if standing is None or _version(record) > _version(standing):
                self._tables.windows[key] = record

    async def reject(self, rejected: Sequence[Rejected]) -> None:
        for one in rejected:
            self._tables.rejected.setdefault(one.id, one)

    async def mark_replayed(self, rejected_id: str, at: datetime) -> bool:
        self._tables.replayed[rejected_id] = at
        return rejected_id in self._tables.rejected

    async def enqueue(self, sink: Sink, entry: Entry) -> None:
        if sink in self._deaf:
            return
        self._tables.last_id += 1
        self._tables.outbox[self._tables.last_id] = (sink, entry)


class MemoryOutbox:
    """See `ports.Outbox`."""

    def __init__(self, sink: Sink, shelf: list[Tables], holders: dict[Sink, object]) -> None:
        self._sink = sink
        self._shelf = shelf
        self._holders = holders
        self._tenure: Tenure | None = None

    async def hold(self) -> Tenure | None:
        if self._holders.setdefault(self._sink, self) is not self:
            return None
        self._tenure = self._tenure or Tenure(0.0)
        return self._tenure

    async def release(self) -> None:
        self._tenure = None
        if self._holders.get(self._sink) is self:
            del self._holders[self._sink]

    async def next(self, limit: int, forget: Sequence[int]) -> list[Letter]:
        outbox = self._shelf[0].outbox
        for number in forget:
            outbox.pop(number, None)
        letters = [Letter(number, [entry]) for number, (kind, entry) in outbox.items() if kind is self._sink]
        return letters[:limit]


class MemoryLedger:
    """See `ports.Ledger`."""

    def __init__(self, shelf: list[Tables] | None = None, holders: dict[Sink, object] | None = None) -> None:
        self._shelf = [Tables()] if shelf is None else shelf
        self._holders = {} if holders is None else holders
        self._outboxes = {sink: MemoryOutbox(sink, self._shelf, self._holders) for sink in Sink}
        self._deaf = {Sink.RECORDS}

    @property
    def tables(self) -> Tables:
        """As they were committed last."""
        return self._shelf[0]

    @tables.setter
    def tables(self, tables: Tables) -> None:
        self._shelf[0] = tables

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[MemoryUnit]:
        working = self.tables.copied()
        yield MemoryUnit(working, self._deaf)
        self.tables = working

    def outbox(self, sink: Sink) -> MemoryOutbox:
        return self._outboxes[sink]

    def listen(self, sink: Sink, is_wanted: bool) -> None:
        (self._deaf.discard if is_wanted else self._deaf.add)(sink)

    def listens(self, sink: Sink) -> bool:
        return sink not in self._deaf

    def replica(self) -> "MemoryLedger":
        """Another process on the same tables."""
        return MemoryLedger(self._shelf, self._holders)

    async def purge_raw(self, received_before: datetime) -> int:
        done = (RawStatus.COMPLETED, RawStatus.SKIPPED)
        old = [r.id for r in self.tables.raw.values() if r.reading.received_at < received_before and r.status in done]
        for id_ in old:
            del self.tables.raw[id_]
        return len(old)

    async def trim_windows(self, max_rows: int, older_than: datetime) -> int:
        units = [unit for unit, _ in self.tables.windows]
        old = [key for key in self.tables.windows if units.count(key[0]) > max_rows and key[1] < older_than]
        for key in old:
            del self.tables.windows[key]
        return len(old)

    async def unclaimed_devices(self) -> list[str]:
        return sorted({record.device for record in self.tables.raw.values() if record.status is RawStatus.PENDING})

    async def points(self) -> list[str]:
        return sorted({point for point, _ in self.tables.rows})

    async def aclose(self) -> None:
        """Let go of the outboxes."""
        for outbox in self._outboxes.values():
            await outbox.release()


def _version(record: RawRecord) -> tuple[datetime, str]:
    return (record.reading.received_at, record.id)
