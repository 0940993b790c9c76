"""The protocols that all services share. Adapters implement them; handlers know nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from caudal.common.domain.catalog import Point, Provider


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


class SeriesRow(msgspec.Struct, frozen=True):
    """The stored values of one point at one instant."""

    point: str
    at: datetime
    fields: dict[str, float]
    """Variable code to value; what is not measured is absent."""
    provider: str = ""
    """Tag; part of the series' identity, so it must not change for a row once written. Empty: no tag."""
    erased: tuple[str, ...] = ()
    """Fields that an earlier version of this row had and that must be gone."""


class Function(StrEnum):
    """What is made of the values of one interval."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    LAST = "last"
    INCREASE = "increase"
    """Last of this interval less the last before it: the volume, for a totalizer."""


class Sample(msgspec.Struct, frozen=True):
    """Values of one point at one instant, or over the interval that starts there."""

    at: datetime
    values: dict[str, float | None]


class WriteReport(msgspec.Struct, frozen=True):
    """Where rows went."""

    written: int
    archived: int = 0
    """Of these, rows older than the retention, in the archive bucket."""


class TelemetryStore(Protocol):
    """Series of numbers by point, variable and time: a projection of the ledger, in one of two places by age.

    Rows at least as old as the retention go to the archive, which keeps them for ever; reads see both as one.
    Every method raises `Transient` when the store is away, `Permanent` when it refuses.
    """

    async def write(self, rows: Sequence[SeriesRow]) -> WriteReport:
        """Write rows; writing the same again changes nothing, a field written twice keeps the last."""
        ...

    async def samples(
        self, point: str, variables: Sequence[str], start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        """The first `limit` instants of [start, end) at which any of `variables` has a value, oldest first."""
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
        """`function` over intervals of `every`, aligned to the epoch, clipped to [start, end); empty ones left out."""
        ...

    def rows(self, point: str) -> AsyncIterator[SeriesRow]:
        """All rows of a point, oldest first."""
        ...

    async def drop(self, point: str | None = None) -> None:
        """Forget a point's rows, or all."""
        ...

    async def trim(self, point: str, max_rows: int, older_than: datetime) -> int:
        """If the point has more than `max_rows` rows, forget those before `older_than`; how many went."""
        ...

    async def expire(self, now: datetime) -> int:
        """Forget what is older than the retention, where the store does not do so by itself; how many rows went."""
        ...

    async def ping(self) -> None:
        """Return if the store answers, raise `Transient` within 5 s if not."""
        ...
