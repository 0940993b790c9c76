"""The ledger, what was asked before, and orders to other services."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from caudal.gateway_api.domain.cursors import Cursor
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.repeats import Attempt, Claim
from caudal.gateway_api.domain.telemetry import (
    OrderedCommand,
    RawEntry,
    RawQuery,
    RejectedEntry,
    RejectedQuery,
    Summary,
    Unclaimed,
    WindowRow,
)


class Ledger(Protocol):
    """The processor's ledger, read only."""

    async def raw(self, scope: Scope, query: RawQuery, after: Cursor | None, limit: int) -> list[RawEntry]:
        """Raw readings, newest first by the time that the query names, from behind `after`."""
        ...

    async def rejected(
        self, scope: Scope, query: RejectedQuery, after: Cursor | None, limit: int
    ) -> list[RejectedEntry]:
        """Rejected payloads, last received first, from behind `after`."""
        ...

    async def rejected_one(self, entry: str, scope: Scope) -> RejectedEntry | None:
        """The rejected payload of this id."""
        ...

    async def unclaimed(self, scope: Scope, listing: Listing) -> Page[Unclaimed]:
        """A page of devices that no point claims, last heard of first."""
        ...

    async def summary(self, point: str, devices: Sequence[str]) -> Summary:
        """What the ledger holds of a point, which has had these devices; the last is the one it has now."""
        ...

    async def flags(
        self, point: str, variables: Sequence[str], start: datetime, end: datetime
    ) -> Mapping[datetime, dict[str, list[str]]]:
        """Flags by instant and variable, of instants from `start` to `end`, both included."""
        ...

    async def window_fields(self) -> list[str]:
        """Every variable that a row of the batch windows has, given or processed, in order of name."""
        ...

    def window_rows(self) -> AsyncIterator[Sequence[WindowRow]]:
        """The latest version of every row of the batch windows by time and unit, some at a time."""
        ...

    async def window_reading_count(self, window: str) -> int:
        """How many raw readings of this window the ledger has."""
        ...

    async def written_count(self) -> int:
        """How many instants have values: processed ones, and rows of windows whose units no point claims."""
        ...


class Repeats(Protocol):
    """Idempotency-Keys that were used in the last day, and what was answered."""

    async def claim(self, attempt: Attempt, id: str, at: datetime) -> Claim:
        """What is known of the key; nobody, or nobody alive, holding it, it is the asker's from now on."""
        ...

    async def done(self, attempt: Attempt, answer: str) -> None:
        """Keep what was answered."""
        ...

    async def release(self, attempt: Attempt, id: str) -> None:
        """It could not be done: the next may try."""
        ...


class Commands(Protocol):
    """Orders to other services and their answers."""

    async def sent(self, command: OrderedCommand) -> None:
        """Keep an order that is about to be sent."""
        ...

    async def finished(self, command: str, ok: bool, detail: Mapping[str, Any], at: datetime) -> OrderedCommand | None:
        """Keep the answer to an order; None: no such order, or it had one."""
        ...

    async def progressed(self, command: str, detail: Mapping[str, Any]) -> None:
        """Keep how far an order has come that is not answered yet."""
        ...

    async def one(self, command: str, scope: Scope) -> OrderedCommand | None:
        """The order of this id."""
        ...

    async def latest_run(self) -> OrderedCommand | None:
        """The batch window that was run last."""
        ...

    async def files_in_use(self, since: datetime) -> frozenset[str]:
        """Names of files that windows are made of which are not answered yet, or were not before `since`."""
        ...
