"""What the door needs from elsewhere, named by role."""

from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from caudal.common.domain.catalog import Point, Provider, Variable
from caudal.common.ports import Outgoing
from caudal.gateway_api.domain.audit import Act
from caudal.gateway_api.domain.cursors import Cursor
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import ApiKey, Known, Permission, Scope, User
from caudal.gateway_api.domain.records import Kind
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

T = TypeVar("T")

# ---------------------------------------------------------------- identity


class Users(Protocol):
    """People who can log in."""

    async def by_id(self, user: str) -> Known | None:
        """The user of this id."""
        ...

    async def is_empty(self) -> bool:
        """Whether nobody can log in yet."""
        ...

    async def by_email(self, email: str) -> tuple[User, str] | None:
        """The user of this address and the hash of the password."""
        ...

    async def add_first(self, user: User, password_hash: str) -> bool:
        """Keep `user` if there is none yet; whether it was kept."""
        ...


class Passwords(Protocol):
    """Slow hashes; never on the event loop, never more than a few at once."""

    async def hashed(self, password: str) -> str:
        """The hash to keep."""
        ...

    async def match(self, password: str, hashed: str | None) -> bool:
        """Whether `password` is the one of `hashed`; without a hash it takes as long, and is false."""
        ...


class Tokens(Protocol):
    """Signed statements of who somebody is."""

    def issued(self, subject: str) -> tuple[str, datetime]:
        """A token for `subject`, and when it ends."""
        ...

    def subject_of(self, token: str) -> str:
        """Whom a token is for.

        Raises:
            Unauthorized: it proves nothing.
        """
        ...

    def key_set(self) -> dict[str, Any]:
        """The public keys, as a JSON Web Key Set."""
        ...


class LoginAttempts(Protocol):
    """Failed logins of the last quarter of an hour."""

    async def begin(self, account: str, address: str, at: datetime) -> int:
        """Count an attempt as failed until it is told otherwise; its number.

        Raises:
            TooManyAttempts: the account or the address has had all it may have.
        """
        ...

    async def succeeded(self, attempt: int, account: str) -> None:
        """Forget this attempt and the failures of the account."""
        ...


class ApiKeys(Protocol):
    """Keys with which providers push."""

    async def add(self, key: ApiKey, digest: str, at: datetime) -> None:
        """Keep a key.

        Raises:
            NotFound: there is no such provider.
        """
        ...

    async def by_digest(self, digest: str) -> ApiKey | None:
        """The key whose secret has this digest, unless it was revoked."""
        ...

    async def of_provider(self, provider: str) -> list[ApiKey]:
        """Keys that work, oldest first."""
        ...

    async def revoke(self, provider: str, key: str, at: datetime) -> bool:
        """Make a key useless; whether there was one to revoke."""
        ...


class Audit(Protocol):
    """What one transaction did, for ever."""

    def record(self, act: Act) -> None:
        """Have `act` written down with the transaction; committed together, or not at all."""
        ...


# ---------------------------------------------------------------- catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the audit log, as it is shown beside the point that it is about."""

    at: datetime
    who: str
    action: str
    """create, change, delete or meter_swap."""
    kind: str
    """point, variable or provider."""
    point: str | None
    """The point that it is about, if it is about one."""
    key: str
    """Code of what changed."""
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class CatalogEdit(Protocol):
    """One transaction on the catalog: what is changed, recorded and told is committed together."""

    @property
    def audit(self) -> Audit:
        """Where what is done is written down."""
        ...

    async def point(self, code: str) -> Point:
        """The point, held against other editors.

        Raises:
            NotFound: there is none.
        """
        ...

    async def provider(self, code: str) -> Provider:
        """The provider, held against other editors.

        Raises:
            NotFound: there is none.
        """
        ...

    async def add_point(self, point: Point, at: datetime) -> None:
        """Add a point with its variables.

        Raises:
            Conflict: its code or its device is taken.
            InvalidInput: there is no such client, or no such provider for it.
        """
        ...

    async def put_point(self, point: Point, at: datetime) -> None:
        """Put a point, with exactly these variables, in the place of the one of its code; raises as `add_point`."""
        ...

    async def forget_foreign(self, point: str, client: str | None) -> None:
        """Remove owners and notifications of users of other clients than `client`; staff's stay."""
        ...

    async def remove_point(self, code: str) -> None:
        """Remove a point and its variables; its readings stay."""
        ...

    async def add_provider(self, provider: Provider, at: datetime) -> None:
        """Add a provider.

        Raises:
            Conflict: its code is taken.
        """
        ...

    async def put_provider(self, provider: Provider, at: datetime) -> None:
        """Put a provider in the place of the one of its code."""
        ...

    async def remove_provider(self, code: str) -> None:
        """Remove a provider and its keys.

        Raises:
            Conflict: points belong to it.
        """
        ...

    async def devices_of(self, provider: str) -> list[tuple[str, str]]:
        """Code and device of each point of a provider."""
        ...

    async def tell(self, message: Outgoing, at: datetime) -> None:
        """Have `message` published once the transaction is committed, whatever crashes in between."""
        ...


class CatalogStore(Protocol):
    """Points, variables and providers, as their only writer keeps them."""

    def edit(self, scope: Scope) -> AbstractAsyncContextManager[CatalogEdit]:
        """A transaction on what is within the scope; it commits at the end and rolls back on any error."""
        ...

    async def point(self, code: str, scope: Scope) -> Point | None:
        """The point of this code, with its variables."""
        ...

    async def provider(self, code: str, scope: Scope) -> Provider | None:
        """The provider of this code."""
        ...

    async def points(self, scope: Scope, listing: Listing) -> Page[Point]:
        """A page of points, with their variables."""
        ...

    async def variables(self, scope: Scope, listing: Listing) -> Page[tuple[str, Variable]]:
        """A page of variables, each with the code of its point."""
        ...

    async def providers(self, scope: Scope, listing: Listing) -> Page[Provider]:
        """A page of providers."""
        ...

    async def devices_of(self, point: str) -> list[str]:
        """Every device that the point has had, oldest first, the present one last."""
        ...

    async def changes(self, point: str, scope: Scope, listing: Listing) -> Page[Change]:
        """A page of a point's journal, newest first."""
        ...


class RecordsEdit(Protocol):
    """One transaction on what is one row each, within a scope."""

    @property
    def audit(self) -> Audit:
        """Where what is done is written down."""
        ...

    async def one(self, kind: Kind[T], key: str) -> T:
        """The record, held against other editors.

        Raises:
            NotFound: there is none within the scope.
        """
        ...

    async def add(self, kind: Kind[T], record: T, **hidden: str) -> None:
        """Add a record, with columns that nobody reads back.

        Raises:
            Conflict: it is there already.
        """
        ...

    async def put(self, kind: Kind[T], record: T, **hidden: str) -> None:
        """Put a record in the place of the one of its key; raises as `add`."""
        ...

    async def remove(self, kind: Kind[Any], key: str) -> None:
        """Remove a record.

        Raises:
            Conflict: other things belong to it.
        """
        ...

    async def client_of_point(self, point: str) -> tuple[str | None] | None:
        """Whose point it is; None: there is no such point within the scope."""
        ...

    async def permissions_of(self, role: str) -> frozenset[Permission] | None:
        """What a role may; None: there is no such role."""
        ...

    async def other_admins(self, user: str) -> int:
        """How many active administrators there are beside this user, held against other editors."""
        ...

    async def forget_foreign(self, user: str, client: str | None) -> None:
        """Remove what ties a user to points that are not of `client`; None: staff may be tied to any."""
        ...


class Records(Protocol):
    """Clients, users, owners and notification preferences; every question is asked within a scope."""

    def edit(self, scope: Scope) -> AbstractAsyncContextManager[RecordsEdit]:
        """A transaction; it commits at the end and rolls back on any error."""
        ...

    async def one(self, kind: Kind[T], scope: Scope, key: str) -> T | None:
        """The record of this key."""
        ...

    async def page(self, kind: Kind[T], scope: Scope, listing: Listing) -> Page[T]:
        """A page of records."""
        ...


class Outbox(Protocol):
    """Messages committed and not yet published, oldest first."""

    async def pending(self, limit: int) -> list[tuple[int, Outgoing]]:
        """The next messages, with their numbers."""
        ...

    async def published(self, numbers: Sequence[int]) -> None:
        """Forget these."""
        ...


# ---------------------------------------------------------------- telemetry


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

    async def one(self, command: str, scope: Scope) -> OrderedCommand | None:
        """The order of this id."""
        ...

    async def latest_run(self) -> OrderedCommand | None:
        """The batch window that was run last."""
        ...

    async def files_in_use(self, since: datetime) -> frozenset[str]:
        """Names of files that windows are made of which are not answered yet, or were not before `since`."""
        ...


# ---------------------------------------------------------------- windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that somebody handed in."""

    path: str
    """Where it is, as the other services see it too."""
    format: str
    """csv or parquet."""
    size: int
    """Bytes."""
    uploaded_by: str
    uploaded_at: datetime


class Uploads(Protocol):
    """What was handed in."""

    async def add(self, upload: Upload) -> None:
        """Keep an upload."""
        ...

    async def last(self, uploaded_by: str) -> Upload | None:
        """The last one of this user."""
        ...

    async def forget(self, before: datetime, in_use: Set[str]) -> None:
        """Forget what was handed in before then, but for files of these names."""
        ...


class WindowFiles(Protocol):
    """The folder of batch windows, which ingest sees too."""

    async def save(self, name: str, chunks: AsyncIterator[bytes], at: datetime) -> tuple[Path, str, int]:
        """Keep a file under a name of our own made from `name`: its path, its format and its size.

        Raises:
            InvalidInput: it is neither CSV nor Parquet.
            OutOfSpace: the disk is too full.
        """
        ...

    def resolve(self, path: str) -> tuple[Path, str, str]:
        """The uploaded file that `path` names, its name within the folder, and its format.

        Raises:
            InvalidInput: it lies outside the folder, or isn't there.
        """
        ...

    async def expire(self, before: datetime, in_use: Set[str]) -> int:
        """Delete what was saved before then, and what lies beside it, but for files of these names; how many went.

        Only what was saved under a name of our own goes.
        """
        ...

    async def write_processed(self, columns: Sequence[str], rows: AsyncIterator[Sequence[Sequence[str]]]) -> Path:
        """Write `processed_window.csv` anew, all or nothing."""
        ...


class Expiring(Protocol):
    """Something that is kept for a while."""

    async def expire(self, now: datetime, age: timedelta) -> int:
        """Forget what is older than `age`; how much went."""
        ...
