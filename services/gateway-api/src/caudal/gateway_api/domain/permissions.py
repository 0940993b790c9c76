"""Who somebody is and what they may do: roles are rows, made of these words."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeGuard


class Permission(StrEnum):
    """One thing that somebody may do."""

    POINTS_READ = "points:read"
    """See points and variables."""
    POINTS_WRITE = "points:write"
    """Create, change and delete points and variables, and declare meter swaps."""
    PROVIDERS_READ = "providers:read"
    """See providers."""
    PROVIDERS_WRITE = "providers:write"
    """Create, change and delete providers, their credentials and their API keys."""
    TELEMETRY_READ = "telemetry:read"
    """See readings, raw and processed, and what was rejected."""
    TELEMETRY_WRITE = "telemetry:write"
    """Fold a point again and replay what was rejected."""
    TELEMETRY_PUSH = "telemetry:push"
    """Hand readings in: what providers' keys are for."""
    WINDOWS_RUN = "windows:run"
    """Upload, run and flush batch windows."""
    IMPORTS_WRITE = "imports:write"
    """Import points, variables, owners and history."""
    SCHEMAS_READ = "schemas:read"
    """See dynamic schemas and their records."""
    SCHEMAS_WRITE = "schemas:write"
    """Create, change and delete dynamic schemas."""
    CLIENTS_READ = "clients:read"
    """See clients; somebody of a client sees that one."""
    CLIENTS_WRITE = "clients:write"
    """Create, change and switch off clients."""
    USERS_READ = "users:read"
    """See users, owners and whom points notify."""
    USERS_WRITE = "users:write"
    """Create, change and switch off users; owners and notifications."""
    ROLES_READ = "roles:read"
    """See roles."""
    ROLES_WRITE = "roles:write"
    """Say what each role may do."""
    KEYS_READ = "keys:read"
    """See API keys, without their secrets."""
    KEYS_WRITE = "keys:write"
    """Make and revoke API keys."""
    AUDIT_READ = "audit:read"
    """See who did what."""
    QUEUES_READ = "queues:read"
    """See the queues of background work."""


STAFF_ONLY = frozenset(
    {Permission.WINDOWS_RUN, Permission.CLIENTS_WRITE, Permission.ROLES_WRITE, Permission.QUEUES_READ}
)
"""What reaches beyond any one client: nobody of a client has it, whatever the role says."""

PUSH = frozenset({Permission.TELEMETRY_PUSH})
"""What a provider's key may do."""

ADMIN = "admin"
"""The role that nobody can take from the platform: somebody has to be able to say what the others may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a user is to the platform."""

    code: str
    name: str
    permissions: frozenset[Permission]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who can log in."""

    id: str
    email: str
    """Lower case; unique."""
    role: str
    """Code of a role."""
    name: str = ""
    client: str | None = None
    """None: staff, who see all clients."""
    active: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """A user, and what the role gives them."""

    user: User
    permissions: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose things a query may find."""

    client: str | None
    """None: everybody's."""
    user: str | None = None
    """Of what belongs to users: whose alone; None: everybody's of the client."""
    agreed: Permission | None = None
    """Of points and what is theirs: only of those at which this was agreed with `user`, and nothing else at all."""

    def sees(self, client: str | None) -> bool:
        """Whether whatever is of `client` (None: of nobody) is within it."""
        return self.agreed is None and (self.client is None or self.client == client)


EVERYWHERE = Scope(None)
"""Of what we do by ourselves."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from."""

    address: str | None = None
    request: str | None = None
    """Id of the request, as it stands in the log."""


NOWHERE = Origin()
"""Of what we do by ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking: a user with a valid token, or a program with an API key."""

    user: str
    """Id of the user, or of the key."""
    email: str
    """How the caller appears in the audit log."""
    role: str
    client: str | None = None
    """None: staff, who see all clients."""
    permissions: frozenset[Permission] = frozenset()
    session: str | None = None
    """None: not a user who logged in."""
    alone: bool = False
    """Whether what belongs to users is found only where it is the caller's own."""
    agreed: Permission | None = None
    """What the role does not give and was agreed at some points: these alone are found."""
    until: datetime | None = None
    """When the key ends that is asking; None: it does not, or a user is asking."""
    origin: Origin = NOWHERE

    @property
    def name(self) -> str:
        """How the caller appears in journals."""
        return self.email

    @property
    def scope(self) -> Scope:
        """Whose things the caller may find."""
        return Scope(self.client, self.user if self.alone or self.agreed else None, self.agreed)

    def may(self, permission: Permission) -> bool:
        """Whether the caller has this permission."""
        return permission in self.permissions

    def may_grant(self, permissions: Iterable[Permission], client: str | None) -> bool:
        """Whether the caller may hand these permissions to somebody of `client`: nobody gives what they lack."""
        return self.scope.sees(client) and effective(permissions, client) <= self.permissions


CONSOLE = Caller(user="console", email="console", role=ADMIN, permissions=frozenset(Permission))
"""Whoever can run commands on the server."""


def effective(permissions: Iterable[Permission], client: str | None) -> frozenset[Permission]:
    """What is left of a role's permissions for somebody of `client` (None: staff)."""
    granted = frozenset(permissions)
    return granted if client is None else granted - STAFF_ONLY


def is_permission(word: object) -> TypeGuard[str]:
    """Whether `word` is one of ours; a later version may have written others."""
    return isinstance(word, str) and word in _WORDS


_WORDS = frozenset(permission.value for permission in Permission)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A program's key, without its secret."""

    id: str
    prefix: str
    """First characters of the key, by which people recognise it."""
    created_at: datetime
    provider: str | None = None
    """Whose readings it may hand in."""
    device: str | None = None
    """The one device whose readings it may hand in."""
    client: str | None = None
    """Whose things it may find; None: everybody's."""
    permissions: frozenset[Permission] = PUSH
    label: str = ""
    created_by: str = ""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute."""

    @property
    def but_for_its_use(self) -> "ApiKey":
        """The key as people made it: that it was used is no change that anybody could overwrite."""
        return replace(self, last_used_at=None)

    @property
    def caller(self) -> Caller:
        """Who is asking when this key is."""
        return Caller(
            user=self.id,
            email=f"key {self.prefix}",
            role="api_key",
            client=self.client,
            permissions=effective(self.permissions, self.client),
            until=self.expires_at,
        )
