"""Roles as sets of permissions: data, not code."""

from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """One thing that somebody may do."""

    CATALOG_READ = "catalog:read"
    """See points, variables and providers."""
    CATALOG_WRITE = "catalog:write"
    """Create, change and delete points and variables, and declare meter swaps."""
    PROVIDERS_MANAGE = "providers:manage"
    """Create, change and delete providers and their API keys."""
    TELEMETRY_READ = "telemetry:read"
    """See readings, raw and processed, and what was rejected."""
    TELEMETRY_OPERATE = "telemetry:operate"
    """Fold a point again and replay what was rejected."""
    WINDOWS_RUN = "windows:run"
    """Upload, run and flush batch windows."""


class Role(StrEnum):
    """What a user is to the platform."""

    ADMIN = "admin"
    OPERATOR = "operator"
    READER = "reader"


ROLES: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: frozenset(Permission) - {Permission.PROVIDERS_MANAGE},
    Role.READER: frozenset({Permission.CATALOG_READ, Permission.TELEMETRY_READ}),
}
"""What each role may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who can log in."""

    id: str
    email: str
    """Lower case; unique."""
    role: Role
    active: bool = True


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: a user with a valid token."""

    user: User

    @property
    def name(self) -> str:
        """How the caller appears in journals."""
        return self.user.email

    def may(self, permission: Permission) -> bool:
        """Whether the caller's role has this permission."""
        return self.user.active and permission in ROLES[self.user.role]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A provider's key, without its secret."""

    id: str
    provider: str
    prefix: str
    """First characters of the key, by which people recognise it."""
    label: str = ""
