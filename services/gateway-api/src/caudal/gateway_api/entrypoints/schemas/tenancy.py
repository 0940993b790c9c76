"""Clients, users, owners and notification preferences as bodies."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import uuid4

import msgspec
from pydantic import ConfigDict, Field, SecretStr

from caudal.gateway_api.domain.merging import merged
from caudal.gateway_api.domain.permissions import Permission
from caudal.gateway_api.domain.sessions import checked_password
from caudal.gateway_api.domain.tenancy import (
    Account,
    Channel,
    Client,
    NotificationType,
    Owner,
    OwnerKind,
    Preference,
    joined_id,
    normal_email,
)
from caudal.gateway_api.entrypoints.schemas.common import Body, Id, Text, Yes, validated

T = TypeVar("T")

Password = Annotated[SecretStr, Field(max_length=200)]


class ClientBody(Body):
    """Somebody whose points, cameras and users are kept apart from everybody else's."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "agricola-sur", "name": "Agrícola del Sur"}]})

    code: Id
    """Unique, and the same for ever."""
    name: Text = ""
    active: Yes = True
    """Whether its users and keys may come in."""

    def made(self, now: datetime) -> Client:
        """The client that this body describes."""
        return Client(code=self.code, name=self.name, active=self.active, created_at=now, updated_at=now)


class UserBody(Body):
    """Somebody who can log in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "email": "ana@example.com",
                    "name": "Ana Rojas",
                    "role": "client_admin",
                    "client": "agricola-sur",
                    "password": "correct horse battery",
                }
            ]
        }
    )

    email: Text
    """Unique; upper and lower case are the same."""
    name: Text = ""
    role: Id
    """Code of a role, which you must be able to grant."""
    client: Id | None = None
    """null: your own client; of staff, staff."""
    active: Yes = True
    password: Password | None = None
    """null: nobody can log in until a password is set."""

    def made(self, now: datetime, client: str | None) -> Account:
        """The user that this body describes, of `client` if it names none."""
        return Account(
            id=uuid4().hex,
            email=normal_email(self.email),
            name=self.name,
            role=self.role,
            client=self.client if self.client is not None else client,
            active=self.active,
            created_at=now,
            updated_at=now,
        )

    def password_for(self, account: Account) -> str | None:
        """The password that was given, if the account may have it; None: none was.

        Raises:
            InvalidInput: it may not.
        """
        if self.password is None:
            return None
        return checked_password(self.password.get_secret_value(), account.email, "password")


class OwnerBody(Body):
    """What a user is to a point."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user": "5f1c0a6e8b0d4c6f9d1e2a3b4c5d6e7f",
                    "point": "pozo-7",
                    "kind": "PRIMARY",
                    "permissions": ["points:read", "telemetry:read"],
                }
            ]
        }
    )

    user: Id
    """Of the point's client, or staff."""
    point: Id
    kind: OwnerKind
    permissions: Annotated[tuple[Permission, ...], Field(max_length=20)] = ()
    """What was agreed that the user may do there: words about points and telemetry."""

    def made(self, now: datetime) -> Owner:
        """The owner that this body describes."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Owner(id=joined_id(self.user, self.point, self.kind), **fields, created_at=now, updated_at=now)


class PreferenceBody(Body):
    """What a user wants to be told, and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user": "5f1c0a6e8b0d4c6f9d1e2a3b4c5d6e7f",
                    "point": "pozo-7",
                    "types": ["THRESHOLD", "OFFLINE"],
                    "channels": ["EMAIL", "IN_APP"],
                    "quiet_from": "22:00",
                    "quiet_to": "07:00",
                    "time_zone": "America/Santiago",
                    "daily_summary": True,
                }
            ]
        }
    )

    user: Id | None = None
    """Left out: you."""
    point: Id | None = None
    """null: all points of the user's client that have no preference of their own."""
    types: Annotated[tuple[NotificationType, ...], Field(max_length=20)]
    """What about; empty: nothing, about this point."""
    channels: Annotated[tuple[Channel, ...], Field(max_length=20)]
    quiet_from: Text | None = None
    """Local time such as 22:00 from which on nothing is sent; null: no quiet hours."""
    quiet_to: Text | None = None
    """Local time at which sending goes on; before `quiet_from` it is the next day's."""
    time_zone: Text = "UTC"
    """Zone of the quiet hours and of the summary's day."""
    daily_summary: Yes = False

    def made(self, now: datetime, user: str) -> Preference:
        """The preference that this body describes, of `user` if it names none."""
        fields = {name: getattr(self, name) for name in type(self).model_fields} | {"user": self.user or user}
        return Preference(id=joined_id(self.user or user, self.point), **fields, created_at=now, updated_at=now)


class Patch(Body):
    """What changes; what is left out stays."""

    def applied(self, record: T, whole: type[Body], now: datetime) -> T:
        """`record` with these changes, judged like a new one, which is described by a `whole`.

        Raises:
            InvalidInput: a field cannot be used.
        """
        fields = whole.model_fields.keys() - {"password"}
        plain = {name: value for name, value in msgspec.to_builtins(record).items() if name in fields}
        changes = {name: getattr(self, name) for name in self.model_fields_set}
        body = validated(whole, merged(plain, msgspec.to_builtins(changes)))
        kept = {name: getattr(body, name) for name in fields}
        return replace(record, **kept, updated_at=now)  # type: ignore[type-var]


class ClientPatch(Patch):
    """What changes in a client; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"active": False}]})

    name: Text | None = None
    active: Yes | None = None


class UserPatch(Patch):
    """What changes in a user; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "client_user"}, {"active": False}]})

    email: Text | None = None
    name: Text | None = None
    role: Id | None = None
    client: Id | None = None
    """null: staff."""
    active: Yes | None = None
    """false: nobody comes in with it any more."""


class OwnerPatch(Patch):
    """What changes in what was agreed; another user, point or kind is another owner."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"permissions": ["points:read"]}]})

    permissions: Annotated[tuple[Permission, ...], Field(max_length=20)] | None = None


class PreferencePatch(Patch):
    """What changes in a preference; another user or point is another preference."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"channels": ["SMS"], "daily_summary": False}]})

    types: Annotated[tuple[NotificationType, ...], Field(max_length=20)] | None = None
    channels: Annotated[tuple[Channel, ...], Field(max_length=20)] | None = None
    quiet_from: Text | None = None
    quiet_to: Text | None = None
    time_zone: Text | None = None
    daily_summary: Yes | None = None
