"""What ingest needs of the world, named by role."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import msgspec

from caudal.common.bus.messages import Result
from caudal.common.domain.catalog import Point, Provider
from caudal.common.domain.payloads.refusals import Refusal
from caudal.common.domain.readings import Inlet
from caudal.ingest.domain.breaker import Breaker
from caudal.ingest.domain.schedule import PointState
from caudal.ingest.domain.windows import Row


class Tally(Protocol):
    """Counts what came in and what became of it."""

    def accepted(self, inlet: Inlet, readings: int) -> None:
        """`readings` were handed on."""
        ...

    def rejected(self, inlet: Inlet, kind: Refusal) -> None:
        """A payload was put away, whole or in part."""
        ...

    def dropped(self, reason: str) -> None:
        """A message was let go on purpose, such as a retained one that does not say when."""
        ...


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
        """`csv` or `parquet`."""
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
    """Where rows go that could not be read."""

    def put(self, number: int, field: str, reason: str, row: str) -> None:
        """Keep one row, by its number, with the reason."""
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
    attempts: int = 0
    """How often it was begun."""
    result: Result | None = None
    """What became of it; None: still to be done."""


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

    async def run(self, job: WindowJob) -> dict[str, Any]:
        """Read the file and publish its rows; what there is to say about it.

        Raises:
            InvalidInput: the file or the options cannot be used.
            Permanent: it cannot be run.
            Transient: the bus or the catalog is away.
        """
        ...


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What one point wants to know of its provider."""

    remote_id: str
    """What the provider calls the point's device."""
    keys: Mapping[str, str]
    """Variable code → what the provider calls it."""
    start: datetime | None = None
    """History from this instant on. Neither it nor `end`: the latest values."""
    end: datetime | None = None
    """History before this instant."""


class RemoteReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says was measured at one instant."""

    measured_at: datetime
    """UTC."""
    values: dict[str, int | float | str | bool]
    """Variable code → value exactly as the provider gave it; what it gave as null is not there."""
    payload: str
    """The rows that it was read from, as JSON text."""


class UnreadableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an answer that is no reading; the others of its page are given all the same."""

    reason: str
    payload: str
    """The row, as JSON text."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Values, or an empty stretch of a history."""

    readings: list[RemoteReading]
    """Oldest first. An instant comes twice if the provider gave two values for it; the later one counts."""
    raw: str = ""
    """The beginning of the answer, for people, without anything secret."""
    unreadable: list[UnreadableRow] = []
    complete_until: datetime | None = None
    """Of a history: nothing before this instant is missing from this page and those before it."""


class NoData(msgspec.Struct, frozen=True, kw_only=True):
    """The provider answered, and has nothing."""

    reason: str
    raw: str = ""
    complete_until: datetime | None = None
    """Of a history: as in `Answered`."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """There is no telling what the provider has."""

    reason: str
    """In words, without anything secret."""
    is_transient: bool
    """Whether asking again may help; if not, somebody has to change the configuration first."""
    retry_after_s: float | None = None
    """How long the provider wants to be left alone, if it says so."""
    raw: str = ""


Outcome = Answered | NoData | Failed


class ProviderClient(Protocol):
    """Asks one provider. Answers are values: whatever the provider does, nothing is raised, and no 0 is made up."""

    async def latest(self, question: Question) -> Outcome:
        """The latest value of each variable; variables measured at the same instant share a reading."""
        ...

    def history(self, question: Question) -> AsyncIterator[Outcome]:
        """What was measured from `start` to before `end`, page by page; ends after the first `Failed`.

        Every page says in `complete_until` how far a cursor may move once the page is kept: up to there the provider
        has no more at the moment, though a device may still hand it older values. A stretch without values is `NoData`.
        """
        ...


class Fleet(Protocol):
    """The catalog, as a round of polling reads it: all at once."""

    async def providers(self) -> Sequence[Provider]:
        """All providers.

        Raises:
            Transient: the catalog cannot be reached.
        """
        ...

    async def sourced(self) -> Sequence[Point]:
        """All points with a source and a provider, without their variables.

        Raises:
            Transient: as `providers`.
        """
        ...


class Vault(Protocol):
    """Secrets as they were at the beginning of a round."""

    def of(self, owner_kind: str, owner: str) -> dict[str, str]:
        """Name to secret, of a `provider` or a `point`.

        Raises:
            Permanent: one of them cannot be unsealed.
        """
        ...


class Secrets(Protocol):
    """The sealed secrets."""

    async def vault(self) -> Vault:
        """All of them, as they are now.

        Raises:
            Transient: they cannot be reached.
        """
        ...


class ProviderClients(Protocol):
    """Clients, made ready and kept as long as nothing about them changes."""

    def of(self, provider: Provider, point: str, vault: Vault) -> ProviderClient:
        """The client that asks for a point.

        Raises:
            Permanent: the provider's settings or secrets cannot be used; the error says which.
        """
        ...


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of asking a provider."""

    provider: str
    connected_at: datetime | None = None
    """When it last answered, or said something by itself."""
    connected_since: datetime | None = None
    """Of one that keeps a connection open: since when; None: there is none."""
    heard_at: datetime | None = None
    """Of one that comes by itself: when it last said something."""
    error: str | None = None
    """Why it failed last; it stays until the next answer."""
    error_at: datetime | None = None
    breaker: Breaker = Breaker()


class PollingRecord(Protocol):
    """What was asked, and how far it is complete. Every method raises `Transient` when it cannot be reached."""

    async def begin(self, holder: str, now: datetime, until: datetime, gap_until: datetime) -> bool:
        """Whether a round may begin: nobody else has one under way, and the last one began before `gap_until`.

        Args:
            holder: Who begins; its own round that a crash cut short may begin again at once.
            now: This instant.
            until: When the others may take the round for dead.
            gap_until: The latest beginning of the round before.
        """
        ...

    async def end(self, holder: str, *, is_done: bool) -> None:
        """The round is over; if it is not done, another may begin at once."""
        ...

    async def points(self) -> dict[str, PointState]:
        """What is remembered, by point."""
        ...

    async def providers(self) -> dict[str, ProviderState]:
        """What is remembered, by provider."""
        ...

    async def cursors(self) -> dict[str, dict[str, datetime]]:
        """By point and variable, the instant until which everything was handed on."""
        ...

    async def move(self, point: str, cursors: Mapping[str, datetime], now: datetime) -> None:
        """Move a point's cursors; never back."""
        ...

    async def asked(self, points: Sequence[PointState], provider: ProviderState) -> None:
        """Keep how a provider and some of its points are doing."""
        ...

    async def tidy(self, points: Sequence[str]) -> None:
        """Forget all points but these."""
        ...
