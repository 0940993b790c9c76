"""What is one row each: clients, users, owners, notification preferences."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from caudal.common.ports import Outgoing
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import Permission, Scope
from caudal.gateway_api.domain.records import GroupRecord, Kind
from caudal.gateway_api.domain.tenancy import Tie
from caudal.gateway_api.ports.identity import Audit

T = TypeVar("T")


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

    async def tell(self, message: Outgoing, at: datetime) -> None:
        """Have `message` published once the transaction is committed, whatever crashes in between."""
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

    async def belongings(self, client: str) -> Mapping[str, int]:
        """How many of what a client has. Keys that were revoked don't count and are forgotten."""
        ...

    async def forget_foreign(self, user: str, client: str | None) -> Sequence[Tie]:
        """Remove what ties a user to points that are not of `client`; None: staff may be tied to any. What it was."""
        ...

    async def forget_ties(self, user: str) -> Sequence[Tie]:
        """Remove all that a user owns and wants to be told. What it was."""
        ...

    async def end_sessions(self, user: str, at: datetime, because: str) -> None:
        """End all sessions of a user."""
        ...

    async def close_resets(self, user: str, at: datetime) -> None:
        """Make every token with which a user would set a new password useless."""
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

    async def addresses(self, scope: Scope, of: Sequence[str]) -> Mapping[str, str]:
        """Id to address of those of these users, a page of them at most, whom the scope sees."""
        ...


class SchemaRecords(Protocol):
    """Records of dynamic schemas, read only."""

    async def page(self, schema: str, scope: Scope, listing: Listing) -> Page[GroupRecord]:
        """A page of a schema's records, newest first unless the listing says otherwise."""
        ...
