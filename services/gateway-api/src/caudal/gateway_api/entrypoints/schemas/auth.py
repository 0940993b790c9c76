"""Logging in, staying in, passwords, roles, keys, and the audit log."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from caudal.gateway_api.domain.permissions import ApiKey, Permission, Role
from caudal.gateway_api.entrypoints.schemas.common import Body, Id, Instant, Text, Yes

Secret = Annotated[Text, Field(min_length=1)]
Email = Annotated[Text, Field(min_length=1)]


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


_TIMES = {"created_at": "2026-03-02T10:00:00Z", "updated_at": "2026-03-02T10:00:00Z"}
_USER = {
    "id": "5f1c0a6e8b0d4c6f9d1e2a3b4c5d6e7f",
    "email": "ana@andes.cl",
    "role": "client_user",
    "client": "andes",
    "permissions": ["points:read", "telemetry:read"],
}
_KEY = {
    "id": "0b7e9a1c2d3f4a5b8c6d7e8f90a1b2c3",
    "prefix": "caudal_x9Kq2w",
    "label": "logger 7",
    "permissions": ["telemetry:push"],
    "client": "andes",
    "provider": None,
    "device": "logger-7",
    "created_by": "admin@caudal.local",
    "created_at": "2026-03-02T10:00:00Z",
    "expires_at": None,
    "last_used_at": "2026-03-05T08:31:00Z",
}


class LoginBody(Body):
    """Who wants to come in."""

    model_config = _example(email="admin@caudal.local", password="correct horse battery")

    email: Email
    password: Secret


class RefreshBody(Body):
    """Who wants to stay in."""

    model_config = _example(refresh_token="X9cS3kq0wF…")

    refresh_token: Secret


class LogoutBody(Body):
    """How far to go out."""

    model_config = _example(all=True)

    all: Yes = False
    """Whether all of the user's sessions end, not this one alone."""


class PasswordBody(Body):
    """A new password."""

    model_config = _example(current_password="correct horse battery", new_password="staple battery horse")

    current_password: Secret
    new_password: Secret


class ResetRequestBody(Body):
    """Whose password was forgotten."""

    model_config = _example(email="ana@andes.cl")

    email: Email


class ResetBody(Body):
    """A new password for a token that stands for the old one."""

    model_config = _example(token="b1qT0Zr…", password="staple battery horse")

    token: Secret
    password: Secret


class RoleBody(Body):
    """What users can be."""

    model_config = _example(code="night_shift", name="Night shift", permissions=["points:read", "telemetry:read"])

    code: Id
    name: Text = ""
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=100)]

    def made(self, now: datetime) -> Role:
        """The role that this says."""
        permissions = frozenset(self.permissions)
        return Role(code=self.code, name=self.name, permissions=permissions, created_at=now, updated_at=now)


class RolePatch(Body):
    """What changes in a role; what is left out stays."""

    model_config = _example(permissions=["points:read", "telemetry:read", "audit:read"])

    name: Text | None = None
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=100)] | None = None
    """All that it may do from now on."""

    def applied(self, role: Role) -> Role:
        """`role` with these changes."""
        name = role.name if self.name is None else self.name
        permissions = role.permissions if self.permissions is None else frozenset(self.permissions)
        return replace(role, name=name, permissions=permissions)


class ApiKeyBody(Body):
    """What a new API key is for."""

    model_config = _example(label="SCADA of the plant", client="andes", permissions=["points:read", "telemetry:read"])

    label: Text = ""
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=100)]
    client: Id | None = None
    """Whose things it may find; left out: the maker's client's, or everybody's if staff makes it."""
    provider: Id | None = None
    """Whose readings it may hand in, with `telemetry:push`; of staff only."""
    device: Id | None = None
    """The one device whose readings it may hand in, with `telemetry:push`; of staff only."""
    expires_at: Instant | None = None
    """Left out: it works until it is revoked."""


class ApiKeyPatch(Body):
    """What changes in an API key; what is left out stays."""

    model_config = _example(label="SCADA of the plant, night", expires_at="2026-06-30T00:00:00Z")

    label: Text | None = None
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=100)] | None = None
    """All that it may do from now on; nothing that it may not do already."""
    expires_at: Instant | None = None
    """null: it works until it is revoked."""

    def applied(self, key: ApiKey) -> ApiKey:
        """`key` with these changes."""
        return replace(
            key,
            label=key.label if self.label is None else self.label,
            permissions=key.permissions if self.permissions is None else frozenset(self.permissions),
            expires_at=self.expires_at if "expires_at" in self.model_fields_set else key.expires_at,
        )


@dataclass(frozen=True)
class RoleAnswer:
    """What users can be."""

    __pydantic_config__ = _example(
        code="night_shift", name="Night shift", permissions=["points:read", "telemetry:read"], **_TIMES
    )

    code: str
    name: str
    permissions: list[str]
    created_at: datetime
    updated_at: datetime


def role_answer(role: Role) -> RoleAnswer:
    """`role` as it is shown."""
    return RoleAnswer(role.code, role.name, sorted(role.permissions), role.created_at, role.updated_at)


@dataclass(frozen=True)
class UserAnswer:
    """A user, as the user may see it."""

    __pydantic_config__ = _example(**_USER)

    id: str
    email: str
    role: str
    client: str | None
    """null: staff, who see all clients."""
    permissions: list[str]


@dataclass(frozen=True)
class LoginAnswer:
    """What is sent as `Authorization: Bearer <token>` from now on, and what renews it."""

    __pydantic_config__ = _example(
        token="eyJhbGciOiJFUzI1NiIs…",
        token_type="Bearer",
        expires_at="2026-03-02T11:00:00Z",
        expires_in=3600,
        refresh_token="X9cS3kq0wF…",
        refresh_expires_at="2026-04-01T10:00:00Z",
        user=_USER,
    )

    token: str
    token_type: str
    expires_at: datetime
    expires_in: int
    """Seconds from now."""
    refresh_token: str
    """For `POST /api/auth/refresh`, once; whoever uses it a second time ends the session."""
    refresh_expires_at: datetime
    user: UserAnswer


@dataclass(frozen=True)
class Requested:
    """The same answer to everybody."""

    __pydantic_config__ = _example(requested=True)

    requested: bool


@dataclass(frozen=True)
class ResetAnswer:
    """A token with which a user sets a new password, told only here."""

    __pydantic_config__ = _example(user=_USER["id"], token="b1qT0Zr…", expires_at="2026-03-03T10:00:00Z")

    user: str
    token: str
    """Hand it to the user: `POST /api/auth/password/reset` takes it once."""
    expires_at: datetime


@dataclass(frozen=True)
class ApiKeyAnswer:
    """An API key without its secret."""

    __pydantic_config__ = _example(**_KEY)

    id: str
    prefix: str
    """First characters of the key, by which you recognise it."""
    label: str
    permissions: list[str]
    client: str | None
    provider: str | None
    device: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""


@dataclass(frozen=True)
class NewApiKeyAnswer(ApiKeyAnswer):
    """An API key with its secret, which is told only here."""

    __pydantic_config__ = _example(**_KEY, key="caudal_x9Kq2w…")

    key: str
    """Keep it: it cannot be read again."""


def key_answer(key: ApiKey) -> ApiKeyAnswer:
    """`key` as it is shown."""
    return ApiKeyAnswer(**_shown(key))


def new_key_answer(key: ApiKey, secret: str) -> NewApiKeyAnswer:
    """`key` as it is shown for the only time."""
    return NewApiKeyAnswer(**_shown(key), key=secret)


def _shown(key: ApiKey) -> dict[str, Any]:
    names = (name for name in ApiKeyAnswer.__dataclass_fields__ if name != "permissions")
    return {name: getattr(key, name) for name in names} | {"permissions": sorted(key.permissions)}
