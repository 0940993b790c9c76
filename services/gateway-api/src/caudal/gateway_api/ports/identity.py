"""Who may come in: users, sessions, tokens, keys, roles, and the log of who did what."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from caudal.gateway_api.domain.audit import Act, AuditLine
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import ApiKey, Known, Permission, Role, Scope, User
from caudal.gateway_api.domain.sessions import Bearer, Family, PendingReset, Reset, Session


class Users(Protocol):
    """People who can log in."""

    async def known(self, user: str, session: str) -> Known | None:
        """The user of this id, unless the session has ended or is another's."""
        ...

    async def agreed(self, user: str, point: str) -> frozenset[Permission]:
        """What was agreed that a user may do at a point, whatever the role says."""
        ...

    async def is_agreed(self, user: str, permission: Permission) -> bool:
        """Whether there is a point at which this was agreed that a user may do."""
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
        """Whether `password` is the one of `hashed`; with none, or an empty one, it takes as long and is false."""
        ...


class Tokens(Protocol):
    """Signed statements of who somebody is."""

    def issued(self, user: str, session: str) -> tuple[str, datetime]:
        """A token for a user in a session, and when it ends."""
        ...

    def read(self, token: str) -> Bearer:
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

    async def begin(self, account: str, address: str, at: datetime) -> str:
        """Count an attempt as failed until it is told otherwise; what `succeeded` knows it by.

        Raises:
            TooManyAttempts: the account or the address has had all it may have.
        """
        ...

    async def succeeded(self, attempt: str, account: str) -> None:
        """Forget this attempt and the failures of the account."""
        ...

    async def forget(self, account: str) -> None:
        """Forget the failures of the account, of its addresses too; those of others from there stay."""
        ...


class Rates(Protocol):
    """How often somebody may ask."""

    async def count(self, kind: str, who: str) -> None:
        """Count one request of an `address` or of a `caller`.

        Raises:
            TooManyRequests: they have asked as often as they may.
        """
        ...

    async def check(self, kind: str, who: str) -> None:
        """Count nothing, and raise as `count` would."""
        ...


class SharedCounts(Protocol):
    """What replicas count by themselves and settle with each other."""

    async def wanted(self) -> None:
        """Wait until there is something to settle."""
        ...

    async def settle(self) -> None:
        """Tell what was counted here, and learn what the others have counted.

        Raises:
            Transient: it cannot be told now.
        """
        ...


class ApiKeys(Protocol):
    """Keys of programs: providers that push, devices, and whoever reads without a password."""

    async def by_digest(self, digest: str, at: datetime) -> ApiKey | None:
        """The key whose secret has this digest, if it works at `at`."""
        ...

    async def used(self, key: str, at: datetime) -> None:
        """Write down that the key of this id was used; at most once a minute, and never an earlier use."""
        ...

    async def one(self, key: str, scope: Scope) -> ApiKey | None:
        """The key of this id, unless it was revoked."""
        ...

    async def of_provider(self, provider: str) -> list[ApiKey]:
        """Keys that were not revoked, oldest first."""
        ...

    async def listed(self, listing: Listing, scope: Scope) -> Page[ApiKey]:
        """A page of keys."""
        ...


class Sessions(Protocol):
    """Logins and their refresh tokens, within one transaction."""

    async def begin(self, session: Session, digest: str) -> None:
        """Keep a login and its first refresh token."""
        ...

    async def family_of(self, digest: str) -> Family | None:
        """The session that the refresh token of this digest belongs to, held against others."""
        ...

    async def renew(self, session: str, generation: int, digest: str, at: datetime) -> None:
        """Give a session its next refresh token; there can be only one of each generation."""
        ...

    async def end(self, session: str, at: datetime, because: str) -> bool:
        """End a session; whether it was going on."""
        ...

    async def end_all(self, user: str, at: datetime, because: str, but: str | None = None) -> int:
        """End all sessions of a user but one; how many were going on."""
        ...


class Resets(Protocol):
    """Forgotten passwords, within one transaction."""

    async def ask(self, reset: Reset, digest: str | None = None) -> None:
        """Keep a request, and the digest of the token if one was issued for it."""
        ...

    async def by_digest(self, digest: str) -> Reset | None:
        """The request that a token was issued for, held against others."""
        ...

    async def close_all(self, user: str, at: datetime) -> None:
        """Make every request of a user useless."""
        ...

    async def close_waiting(self, user: str, at: datetime) -> None:
        """Forget a user's requests for which no token was issued."""
        ...


class People(Protocol):
    """Users, within one transaction."""

    async def by_email(self, email: str) -> Known | None:
        """The user of this address."""
        ...

    async def by_id(self, user: str) -> Known | None:
        """The user of this id."""
        ...

    async def has_password(self, user: str, password_hash: str) -> bool:
        """Whether this is still what is kept of a user's password, which nobody changes until the end of this."""
        ...

    async def set_password(self, user: str, password_hash: str, at: datetime) -> None:
        """Give a user another password."""
        ...


class Roles(Protocol):
    """What users can be, within one transaction."""

    async def one(self, code: str) -> Role | None:
        """The role of this code, held against others."""
        ...

    async def add(self, role: Role) -> None:
        """Add a role.

        Raises:
            Conflict: its code is taken.
        """
        ...

    async def put(self, role: Role) -> None:
        """Put a role in the place of the one of its code."""
        ...

    async def remove(self, code: str) -> None:
        """Remove a role.

        Raises:
            Conflict: users have it.
        """
        ...


class KeyRack(Protocol):
    """API keys, within one transaction."""

    async def add(self, key: ApiKey, digest: str) -> None:
        """Keep a key.

        Raises:
            InvalidInput: there is no such provider, or no such client.
        """
        ...

    async def one(self, key: str) -> ApiKey | None:
        """The key of this id, unless it was revoked, held against others."""
        ...

    async def put(self, key: ApiKey) -> None:
        """Put what a key is called, what it may and when it ends in the place of what they were."""
        ...

    async def revoke(self, key: str, at: datetime) -> None:
        """Make a key useless."""
        ...


class Audit(Protocol):
    """What one transaction did, for ever."""

    def record(self, act: Act) -> None:
        """Have `act` written down with the transaction; committed together, or not at all."""
        ...


class AuditChain(Protocol):
    """The audit log as it is kept, to be checked."""

    async def lines(self, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """The next lines in order of number, column by column; `before` and `after` as text."""
        ...


@dataclass(frozen=True, slots=True)
class IdentityWork:
    """One transaction on who may come in: what is changed and recorded is committed together."""

    people: People
    sessions: Sessions
    resets: Resets
    roles: Roles
    keys: KeyRack
    audit: Audit


class IdentityStore(Protocol):
    """Who may come in, and who did what."""

    def work(self) -> AbstractAsyncContextManager[IdentityWork]:
        """A transaction; it commits at the end and rolls back on any error."""
        ...

    async def roles(self, listing: Listing) -> Page[Role]:
        """A page of roles."""
        ...

    async def role(self, code: str) -> Role | None:
        """The role of this code."""
        ...

    async def audit(self, listing: Listing, scope: Scope) -> Page[AuditLine]:
        """A page of the audit log, newest first."""
        ...

    async def pending_resets(self, listing: Listing, scope: Scope, at: datetime) -> Page[PendingReset]:
        """A page of those who asked for a new password, have not got one yet, and at `at` still can."""
        ...
