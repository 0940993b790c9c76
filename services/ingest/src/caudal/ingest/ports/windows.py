"""What windows need: a file, where its rejects go, who ordered it, and how far the ledger is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import msgspec

from caudal.common.bus.messages import Result
from caudal.ingest.domain.windows import Row


class Batch(msgspec.Struct, frozen=True):
    """Some rows of a table, in its order."""

    rows: Sequence[Row]
    done: int
    """How far into the table they reach, in the table's own unit."""


class Table(Protocol):
    """A file whose rows are readings, read from front to back in constant memory."""

    @property
    def headers(self) -> Sequence[str]:
        """Its columns."""
        ...

    @property
    def source_format(self) -> str:
        """`csv`, `parquet` or `json`."""
        ...

    @property
    def unit(self) -> str:
        """What `total` and `Batch.done` count: `bytes` or `rows`."""
        ...

    @property
    def total(self) -> int:
        """Where `Batch.done` ends."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was found out about the file, or left out of it, in words."""
        ...

    def batches(self) -> AsyncIterator[Batch]:
        """All rows, some at a time.

        Raises:
            InvalidInput: the file cannot be read on from here.
        """
        ...

    async def close(self) -> None:
        """Let go of the file."""
        ...


class Rejects(Protocol):
    """Where rows and cells go that could not be read."""

    def put(self, number: int, field: str, value: str, reason: str, row: str) -> None:
        """Keep one, by the number of its row and the name of its column, with the reason.

        Raises:
            InvalidInput: it cannot be kept.
        """
        ...

    def close(self) -> str | None:
        """Where they are now; None: there were none."""
        ...


class WindowJob(msgspec.Struct, frozen=True, kw_only=True):
    """A window that somebody ordered."""

    window: str
    command: str
    """Id of the order; the answer carries it."""
    path: str
    """As it was ordered."""
    format: str | None = None
    options: dict[str, Any] = {}
    dry_run: bool = False
    """Whether it is only to be told what would be sent."""
    attempts: int = 0
    """How often it was begun."""
    result: Result | None = None
    """What became of it; None: still to be done."""


class Far(msgspec.Struct, frozen=True):
    """How far a window is read."""

    done: int
    total: int
    unit: str
    """`bytes` or `rows`."""


Tell = Callable[[Far], Awaitable[None]]
"""Hears how far a window is; never raises."""


class Jobs(Protocol):
    """Orders of windows, written down before they are acknowledged, shared by all replicas."""

    def find(self, window: str, command: str) -> WindowJob | None:
        """The order of this id, if it was written down before."""
        ...

    def write(self, job: WindowJob) -> None:
        """Write down a new order, or how it stands; on disk when this returns.

        Raises:
            Transient: the disk refuses.
        """
        ...

    def claim(self) -> AbstractContextManager[WindowJob | None]:
        """An order still to be done that nobody else has in hand; ours until the context ends, or we do."""
        ...

    def expire(self, before: datetime) -> int:
        """Forget orders that were answered before then; how many went."""
        ...


class WindowProgress(Protocol):
    """How far the processor is with a window."""

    async def has_taken(self, window: str, since: datetime) -> bool:
        """Whether the ledger has a reading of this window that was received at `since` or later.

        Raises:
            Transient: the ledger cannot be read.
        """
        ...


class WindowRunner(Protocol):
    """Runs a window."""

    def check(self, job: WindowJob) -> None:
        """Nothing, if there is such a file.

        Raises:
            InvalidInput: there is none.
        """
        ...

    async def run(self, job: WindowJob, tell: Tell) -> dict[str, Any]:
        """Read the file and publish its rows; what there is to say about it. How far it is `tell` hears meanwhile.

        Raises:
            InvalidInput: the file or the options cannot be used.
            Permanent: it cannot be run.
            Transient: the bus or the catalog is away.
        """
        ...
