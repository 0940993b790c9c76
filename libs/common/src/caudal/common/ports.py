"""The protocols that all services share. Adapters implement them; handlers know nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from caudal.common.domain.catalog import Point, Provider
from caudal.common.domain.errors import Permanent


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """This instant, UTC with zone."""
        ...


# ---------------------------------------------------------------- the bus


class Delivery(msgspec.Struct, frozen=True):
    """One message that the broker handed over and waits to see acknowledged."""

    topic: str
    payload: bytes
    retained: bool = False


class Outgoing(msgspec.Struct, frozen=True):
    """One message to be published with QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False
    needs_reader: bool = False
    """Whether it must not be published while nobody is subscribed, away or not, since it would be gone.

    Brokers say so in MQTT 5 only; with 3.1.1 it is published all the same.
    """


BatchHandler = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Handles deliveries in order of arrival; they are acknowledged when it returns.

Raising `Transient` leaves the whole batch unacknowledged: it is tried again after a pause. Any other exception is
narrowed down to the delivery that causes it; that one goes to the bus's `poison` callback and is acknowledged.
"""


@dataclass(frozen=True)
class Subscription:
    """What one consumer wants to hear, and how it wants it served."""

    filters: tuple[str, ...]
    """Topic filters; `$share/<group>/…` divides them among replicas."""
    handler: BatchHandler
    max_batch: int = 1000
    """Deliveries handled at once, at most."""
    linger_s: float = 0.005
    """How long the first delivery of a batch waits for more."""
    bytes_pending: int = 32 * 1024 * 1024
    """Payload bytes held unacknowledged before reading from the broker pauses."""
    name: str = "main"
    """Names its persistent session at the broker; unique within a service and the same for ever."""


class Publisher(Protocol):
    """Says things on the bus."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order with QoS 1, many in flight; returns when the broker has acknowledged all of them.

        Raises:
            Transient: the broker is away or does not answer; some may have been published.
        """
        ...


# ---------------------------------------------------------------- the catalog


class Catalog(Protocol):
    """Points, variables and providers as gateway-api last committed them.

    Every method raises `Transient` when the catalog cannot be reached.
    """

    async def point_of(self, device: str) -> Point | None:
        """The point that claims `device`, with its variables; None: nobody claims it."""
        ...

    async def point(self, code: str) -> Point | None:
        """The point of this code, with its variables."""
        ...

    async def provider(self, code: str) -> Provider | None:
        """The provider of this code, active or not."""
        ...


# ---------------------------------------------------------------- the telemetry store


class SeriesRow(msgspec.Struct, frozen=True, gc=False):
    """The stored values of one point at one instant."""

    point: str
    """An id; `RowRefused` otherwise, as for provider and variables."""
    at: datetime
    """With a zone, in whole microseconds, from 1678 to 2261 (what InfluxDB can hold)."""
    fields: dict[str, float]
    """Variable code to finite number; what is not measured is absent. May be empty."""
    provider: str = ""
    """Tag; it must not change for a row once written. Empty: no tag.

    Where rows of several providers meet in one instant they are read as one, by variable: the greatest code wins.
    """
    erased: tuple[str, ...] = ()
    """Fields that an earlier version of this row had, under any provider, and that must be gone.

    Fields that are in neither `fields` nor `erased` stay, but a crash half-way can lose them: who erases brings the
    whole row, and writes it again after `Transient`. What is in both is written.
    """


class Function(StrEnum):
    """What is made of the values of one interval."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    LAST = "last"
    INCREASE = "increase"
    """Last of this interval less the last before it, however long ago: the volume, for a totalizer.

    For the first interval that is the last value before `start`; where there is none, the interval's own first value.
    """


class Sample(msgspec.Struct, frozen=True, gc=False):
    """Values of one point at one instant, or over the interval that starts there."""

    at: datetime
    """In [start, end) of the question: the first interval is clipped, so it starts at `start`."""
    values: dict[str, float | None]
    """Every variable asked for; None where it has no value. At least one has."""


class WriteReport(msgspec.Struct, frozen=True):
    """Where rows went."""

    written: int
    """All rows given that are not refused."""
    archived: int = 0
    """Of these, rows older than the retention, in the archive."""


class RowRefused(Permanent):
    """The store can't take a row; the others of its batch are written."""

    def __init__(self, row: SeriesRow, reason: str, refused: int, report: WriteReport) -> None:
        super().__init__(f"{row.point[:80]!r} at {row.at.isoformat()}: {reason} ({refused} refused)")
        self.row = row
        """The first one refused."""
        self.reason = reason
        self.refused = refused
        """How many rows of the batch were refused."""
        self.report = report
        """What became of the others."""


class TelemetryStore(Protocol):
    """Series of numbers by point, variable and time: a projection of the ledger, in one of two places by age.

    Rows older than the retention, or within an hour of it, go to the archive, which keeps them for ever. What is in the
    main place stays there until it is as old as the retention, and is then forgotten (`expire`), not moved: the ledger
    has it. Reads see both places as one; where both have a value for one variable and instant, the archive's is the
    newer and wins. One process writes at a time; any number read.

    Every method raises `Transient` when the store is away or does not answer within 10 s, `Permanent` when it refuses;
    names that are no ids and times without a zone in a question are `InvalidInput`.
    """

    async def write(self, rows: Sequence[SeriesRow]) -> WriteReport:
        """Write rows in order; writing the same again changes nothing, a field written twice keeps the last.

        Raises:
            RowRefused: some rows cannot be stored; all others are.
            Transient: some may be written; write all again.
        """
        ...

    async def samples(
        self, point: str, variables: Sequence[str], start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        """The first `limit` instants of [start, end) at which any of `variables` has a value, oldest first, each once.

        The next page starts one microsecond after the last instant of this one.
        """
        ...

    async def aggregate(
        self,
        point: str,
        variables: Sequence[str],
        start: datetime,
        end: datetime,
        every: timedelta,
        function: Function,
    ) -> list[Sample]:
        """`function` over intervals of `every`, aligned to the epoch, clipped to [start, end); empty ones are left out.

        Oldest first. The same in every store, to the rounding of the last digits of a sum.

        Raises:
            InvalidInput: `every` is not above 0.
        """
        ...

    def rows(self, point: str) -> AsyncIterator[SeriesRow]:
        """All rows of a point, oldest first, each instant once; `provider` is that of the row which won."""
        ...

    async def drop(self, point: str | None = None) -> None:
        """Forget a point's rows, or all, in both places."""
        ...

    async def trim(self, point: str, max_rows: int, older_than: datetime) -> int:
        """If the point has more than `max_rows` rows, forget those before `older_than`; how many went.

        Rows are counted and forgotten in both places, an instant as one row. What is left may still be more than
        `max_rows`: younger rows stay.
        """
        ...

    async def expire(self, now: datetime) -> int:
        """Forget what is older than the retention, where the store does not do so by itself; how many rows went.

        The archive keeps what it has. InfluxDB expires by itself, a day at a time, and answers 0.
        """
        ...

    async def ping(self) -> None:
        """Return if the store answers, raise `Transient` within 5 s if not."""
        ...
