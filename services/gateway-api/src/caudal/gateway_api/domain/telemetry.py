"""What the ledger says about readings, as the API shows it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from caudal.common.domain.readings import Inlet, RawStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEntry:
    """A raw reading as it came, with what became of it."""

    id: str
    device: str
    point: str | None
    inlet: str
    provider: str | None
    window_id: str | None
    source_format: str | None
    measured_at: datetime
    received_at: datetime
    logged_at: datetime | None
    status: str
    reason: str | None
    values: dict[str, Any]
    payload: str | None
    """As text; None once its 30 days are over."""


class RawOrder(StrEnum):
    """By which time raw readings are listed; the newest first."""

    MEASURED = "measured_at"
    RECEIVED = "received_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawQuery:
    """Which raw readings; None asks for any."""

    devices: tuple[str, ...] | None = None
    point: str | None = None
    inlet: Inlet | None = None
    status: RawStatus | None = None
    start: datetime | None = None
    """By `measured_at`, included."""
    end: datetime | None = None
    """By `measured_at`, excluded."""
    order: RawOrder = RawOrder.RECEIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedEntry:
    """Something that could not be read, with the reason."""

    id: str
    device: str
    received_at: datetime
    inlet: str
    topic: str
    reason: str
    field: str | None
    payload: str
    payload_encoding: str
    provider: str | None
    replayed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedQuery:
    """Which rejected payloads; None asks for any."""

    device: str | None = None
    inlet: Inlet | None = None
    provider: str | None = None
    replayed: bool | None = None
    start: datetime | None = None
    """By `received_at`, included."""
    end: datetime | None = None
    """By `received_at`, excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaimed:
    """A device that was heard of and belongs to no point."""

    device: str
    readings: int
    first_measured_at: datetime
    last_measured_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the ledger holds of one point."""

    point: str
    device: str
    readings: int
    """Instants with a processed value."""
    raw: dict[str, int]
    """Raw readings by status."""
    duplicates: int
    """Raw readings that brought nothing new: delivered again, or corrected by a later one of the same instant."""
    late: int
    """Raw readings measured before something that had been received earlier."""
    flags: dict[str, int]
    """Processed values by flag."""
    rejected: int
    """Payloads of this device that could not be read."""
    first_measured_at: datetime | None
    last_measured_at: datetime | None


class CommandState(StrEnum):
    """How far an order to another service has come."""

    SENT = "sent"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedCommand:
    """An order that was sent over the bus, and its answer."""

    id: str
    action: str
    target: str
    """The device or the window."""
    ordered_by: str
    ordered_at: datetime
    state: CommandState = CommandState.SENT
    detail: dict[str, Any] = field(default_factory=dict)
    finished_at: datetime | None = None
    file: str | None = None
    """Name of the upload that a window is made of."""
    client: str | None = None
    """Of whom ordered it; None: staff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    """The latest version of one row of a batch window, with what the ledger made of it."""

    measured_at: datetime
    unit: str
    source_format: str
    given: dict[str, Any]
    """Variable to number, as in the file."""
    processed: dict[str, Any] | None
    """Variable to processed value; None where no point claims the unit."""

    def cells(self) -> dict[str, float | None]:
        """Variable to the processed value where there is one, else to what was given."""
        if self.processed is None:
            return dict(self.given)
        stored = {name: value.get("value") for name, value in self.processed.items()}
        return {**self.given, **stored}
