"""What the processor needs of the world, named by role."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from caudal.common.bus.messages import RawReading, Rejected
from caudal.common.domain.errors import Transient
from caudal.common.domain.readings import Inlet, RawStatus
from caudal.common.domain.schemas import Schema
from caudal.common.ports import Outgoing, SeriesRow
from caudal.processor.domain.fold import PointState
from caudal.processor.domain.ledger import Row
from caudal.processor.domain.records import Instant, Part, Record
from caudal.processor.domain.silence import Silence, Watched


class Head(msgspec.Struct, frozen=True):
    """Where a point's ledger ends."""

    at: datetime
    state: PointState


class RawRecord(msgspec.Struct, frozen=True):
    """A raw reading as the archive keeps it."""

    id: str
    """`digest_of` the reading."""
    device: str
    inlet: Inlet
    reading: RawReading
    status: RawStatus
    point: str | None = None
    provider: str | None = None
    window: str | None = None
    source_format: str | None = None
    reason: str = ""


class Overtaken(Transient):
    """Another replica moved a point's ledger on; nothing of the unit was kept, and it can be done again at once."""

    def __init__(self, points: Sequence[str]) -> None:
        super().__init__(f"another replica was faster at {', '.join(points)[:200]}", retry_after_s=0.0)


class Sink(StrEnum):
    """Where an outbox entry goes."""

    STORE = "store"
    BUS = "bus"
    RECORDS = "records"
    """Where records of dynamic schemas are computed; it takes nothing while there are no schemas."""


class RecordOrder(msgspec.Struct, frozen=True, array_like=True):
    """Something beside changed rows after which records have to be computed."""

    schema: str | None = None
    """Compute all of its records again."""
    point: str | None = None
    """Look whose it is now; neither: look which points are gone."""
    command: str | None = None
    """Whose answer is to be told once it is done."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Something committed with a change of the ledger that the world has yet to be told."""

    messages: list[Outgoing] = []
    rows: list[SeriesRow] = []
    orders: list[RecordOrder] = []


class Letter(msgspec.Struct, frozen=True):
    """Entries of the outbox that one batch left there for one sink."""

    number: int
    entries: list[Entry]


class Tenure(msgspec.Struct, frozen=True):
    """A time for which one replica holds an outbox without a break."""

    since: float
    """On the monotonic clock, in seconds."""


class Outbox(Protocol):
    """What one sink has yet to be told, oldest first.

    Only one replica at a time holds it, so that of two versions of a row the newer is told last. What the holder knows
    of letters that it has told is void once its tenure has ended: another may have begun to tell them again.

    Every method raises `Transient` when the database is away, which ends the tenure.
    """

    async def hold(self) -> Tenure | None:
        """Take it if it is free; the present tenure, or None: another replica has it."""
        ...

    async def release(self) -> None:
        """End the tenure."""
        ...

    async def next(self, limit: int, forget: Sequence[int]) -> list[Letter]:
        """Forget these letters, by number, and give some of the oldest of the others. Holders only."""
        ...


class LedgerUnit(Protocol):
    """One transaction on the ledger: all of it is committed, or none."""

    async def lock(self, points: Sequence[str]) -> dict[str, Head]:
        """Keep other replicas off these points until the end; where the ledger of each ends, if it has rows.

        A ledger that remembers may only find out at the end that another replica was faster: `Overtaken`.
        """
        ...

    async def row_before(self, point: str, at: datetime) -> Row | None:
        """The last row measured before `at`."""
        ...

    async def rows(
        self, point: str, start: datetime, end: datetime | None = None, limit: int | None = None
    ) -> list[Row]:
        """Rows of [start, end), oldest first, at most `limit`."""
        ...

    async def add_rows(self, point: str, rows: Sequence[Row]) -> None:
        """Insert rows of instants that have none."""
        ...

    async def replace_rows(self, point: str, rows: Sequence[Row]) -> None:
        """Put rows in the place of those of the same instants."""
        ...

    async def save_heads(self, heads: dict[str, Head]) -> None:
        """Where the ledger of each of these points ends now."""
        ...

    async def archive(self, records: Sequence[RawRecord]) -> None:
        """Keep raw readings; one that is there already stays as it is."""
        ...

    async def mark(self, records: Sequence[RawRecord]) -> None:
        """Set point, status and reason of raw readings that are kept already."""
        ...

    async def supersede(self, ids: Sequence[str], reason: str) -> None:
        """These raw readings have no standing value any more: SKIPPED, unless they never had one."""
        ...

    async def unclaimed(self, device: str, limit: int) -> list[RawRecord]:
        """PENDING raw readings of a device, oldest receipt first."""
        ...

    async def failed(self, device: str, first: datetime, last: datetime) -> list[RawRecord]:
        """FAILED raw readings of a device that have values, measured from `first` to `last`."""
        ...

    async def collect(self, records: Sequence[RawRecord]) -> None:
        """Keep the latest version per (unit, time) of readings that came in batch windows."""
        ...

    async def reject(self, rejected: Sequence[Rejected]) -> None:
        """Keep what could not be read; one that is there already stays as it is."""
        ...

    async def mark_replayed(self, rejected_id: str, at: datetime) -> bool:
        """Say that a rejected payload was published again; whether there is such a one."""
        ...

    async def enqueue(self, sink: Sink, entry: Entry) -> None:
        """Tell the world later, in this order."""
        ...


class Ledger(Protocol):
    """Raw readings, rows, and what the world has yet to be told."""

    def unit(self) -> AbstractAsyncContextManager[LedgerUnit]:
        """A transaction; commits at the end, rolls back on any error.

        Raises:
            Overtaken: another replica was faster; nothing was kept.
            Transient: the database is away.
        """
        ...

    def outbox(self, sink: Sink) -> Outbox:
        """What this sink has yet to be told; one and the same each time."""
        ...

    def listen(self, sink: Sink, is_wanted: bool) -> None:
        """Whether units of this process enqueue anything for a sink; all do for each, but for RECORDS, at first."""
        ...

    def listens(self, sink: Sink) -> bool:
        """Whether they do."""
        ...

    async def purge_raw(self, received_before: datetime) -> int:
        """Forget old raw readings that stand in the ledger, and the payloads of those that don't; how many."""
        ...

    async def trim_windows(self, max_rows: int, older_than: datetime) -> int:
        """For each unit with more than `max_rows` collected rows, forget those measured before `older_than`."""
        ...

    async def unclaimed_devices(self) -> list[str]:
        """Devices with PENDING raw readings."""
        ...

    async def points(self) -> list[str]:
        """All points that have rows."""
        ...


class Schemas(Protocol):
    """Dynamic schemas, as the catalog has them now."""

    async def active(self) -> list[Schema]:
        """Those of which there are records, in order of code."""
        ...


class RecordUnit(Protocol):
    """One transaction on records, which waits until no other is open: what it reads stays as it is."""

    async def instants(self, point: str, start: datetime, end: datetime, limit: int | None = None) -> list[Instant]:
        """Values of the ledger's rows of [start, end), oldest first; of more than `limit` the first."""
        ...

    async def next_instant(self, point: str, start: datetime) -> datetime | None:
        """When the first row of the point was measured that is not before `start`."""
        ...

    async def part(self, schema: str, point: str, start: datetime) -> Part | None:
        """The part that begins then."""
        ...

    async def parts(
        self, schema: str, point: str, start: datetime, end: datetime, limit: int | None, *, newest_first: bool = False
    ) -> list[Part]:
        """Parts of a point that begin in [start, end)."""
        ...

    async def parts_of_group(self, schema: str, group: str, start: datetime, end: datetime) -> list[Part]:
        """Parts of a group that begin in [start, end), in order of point and time."""
        ...

    async def put_parts(self, schema: str, point: str, start: datetime, end: datetime, parts: Sequence[Part]) -> None:
        """Put these in the place of all parts of the point that begin in [start, end)."""
        ...

    async def put_record(self, schema: Schema, record: Record, definition: str, at: datetime) -> None:
        """Put a record, by this definition of its schema, in the place of the one of its group and period."""
        ...

    async def drop_record(self, schema: str, group: str, start: datetime) -> None:
        """There is nothing to say of this group and period any more."""
        ...


class RecordBook(Protocol):
    """Records of dynamic schemas, and the parts they are made of; every method raises `Transient`."""

    def unit(self) -> AbstractAsyncContextManager[RecordUnit]:
        """A transaction; commits at the end, rolls back on any error."""
        ...

    async def schemas(self) -> list[str]:
        """Codes of all schemas of which there are records or parts."""
        ...

    async def points(self) -> list[str]:
        """Codes of all points of which there are parts."""
        ...

    async def group_of(self, schema: str, point: str) -> str | None:
        """The group to which the newest part of a point was reckoned; None: it has none."""
        ...

    async def forget(self, schema: str, besides: str | None = None) -> None:
        """Forget all records of a schema, but those by the definition `besides`; without one its parts, too."""
        ...


class Silences(Protocol):
    """Who is expected to speak, who has spoken, and who is silent; every method raises `Transient`."""

    async def watched(self) -> list[Watched]:
        """Points that are expected to speak and have spoken."""
        ...

    async def standing(self) -> list[Silence]:
        """Silences that began and have not ended."""
        ...

    async def spoken(self, points: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Which variables have a value in the last row of these points."""
        ...

    async def heard(self, point: str, wanted: Collection[str], until: datetime) -> Mapping[str, datetime]:
        """When the last values of these variables were measured by then, as far as the last rows up to it tell."""
        ...

    async def begin(self, silences: Sequence[Silence]) -> int:
        """Keep silences, and tell of each that no other replica has kept; how many."""
        ...

    async def end(self, silences: Sequence[Silence], now: datetime) -> int:
        """Forget silences, and tell of each that no other replica has ended; how many."""
        ...
