"""Kinds of things that are kept as one row each, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from caudal.gateway_api.domain.listing import Code, ListShape
from caudal.gateway_api.domain.tenancy import (
    Account,
    Client,
    Owner,
    OwnerKind,
    Preference,
    checked_account,
    checked_client,
    checked_owner,
    checked_preference,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T]):
    """What has to be known of a kind to list, keep and change it like any other."""

    name: str
    """As errors and the audit log call one."""
    type: type[T]
    key: str
    """The field that names one."""
    shape: ListShape
    checked: Callable[[T], T]
    """Refuses what may not be kept, whatever else is there."""

    def key_of(self, record: T) -> str:
        """What names `record`."""
        key: str = getattr(record, self.key)
        return key


_KEPT: dict[str, type] = {"created_at": datetime, "updated_at": datetime}

CLIENTS = Kind(
    name="client",
    type=Client,
    key="code",
    checked=checked_client,
    shape=ListShape(
        name="clients",
        columns=("code", "name", "active", "created_at", "updated_at"),
        filters={"code": Code, "name": str, "active": bool} | _KEPT,
        searched=("code", "name"),
        ordered=("code", "name", "active", "created_at", "updated_at"),
        key=("code",),
    ),
)
USERS = Kind(
    name="user",
    type=Account,
    key="id",
    checked=checked_account,
    shape=ListShape(
        name="users",
        columns=("id", "email", "name", "role", "client", "active", "created_at", "updated_at"),
        filters={"email": str, "name": str, "role": Code, "client": Code, "active": bool} | _KEPT,
        searched=("email", "name"),
        ordered=("email", "name", "role", "client", "active", "created_at", "updated_at"),
        key=("email",),
    ),
)
OWNERS = Kind(
    name="owner",
    type=Owner,
    key="id",
    checked=checked_owner,
    shape=ListShape(
        name="owners",
        columns=("id", "user", "point", "kind", "permissions", "created_at", "updated_at"),
        filters={"user": Code, "point": Code, "kind": OwnerKind} | _KEPT,
        searched=("user", "point"),
        ordered=("point", "user", "kind", "created_at", "updated_at"),
        key=("point", "kind", "user"),
    ),
)
PREFERENCES = Kind(
    name="notification preference",
    type=Preference,
    key="id",
    checked=checked_preference,
    shape=ListShape(
        name="notifications",
        columns=(
            "id",
            "user",
            "point",
            "types",
            "channels",
            "quiet_from",
            "quiet_to",
            "time_zone",
            "daily_summary",
            "created_at",
            "updated_at",
        ),
        filters={"user": Code, "point": Code, "daily_summary": bool} | _KEPT,
        searched=("user", "point"),
        ordered=("user", "point", "daily_summary", "created_at", "updated_at"),
        key=("user", "id"),
    ),
)
