"""Kinds of things that are kept as one row each, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.schemas import GroupBy, RecordPeriod, Schema, SchemaKind, checked_schema
from caudal.gateway_api.domain.listing import Code, ListShape
from caudal.gateway_api.domain.merging import refuse_unprintable
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

MAX_DISPLAY_BYTES = 16_384
"""Of a schema's display settings, as JSON."""


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
    """The record as it is kept; refuses what may not be, whatever else is there."""

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
        # The address goes first: an import takes it for the user, and it is the same on another machine.
        columns=("id", "email", "user", "point", "kind", "permissions", "created_at", "updated_at"),
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


def _checked_schema(schema: Schema) -> Schema:
    refuse_unprintable(msgspec.to_builtins(schema))
    if len(msgspec.json.encode(schema.display)) > MAX_DISPLAY_BYTES:
        raise InvalidInput("display", f"is longer than {MAX_DISPLAY_BYTES} bytes")
    return checked_schema(schema)


SCHEMAS = Kind(
    name="schema",
    type=Schema,
    key="code",
    checked=_checked_schema,
    shape=ListShape(
        name="schemas",
        columns=(
            "code",
            "client",
            "name",
            "kind",
            "active",
            "period",
            "time_zone",
            "group_by",
            "points",
            "fields",
            "rules",
            "display",
            "created_at",
            "updated_at",
        ),
        filters={
            "code": Code,
            "client": Code,
            "name": str,
            "kind": SchemaKind,
            "active": bool,
            "period": RecordPeriod,
            "time_zone": str,
            "group_by": GroupBy,
        }
        | _KEPT,
        searched=("code", "name"),
        ordered=("code", "name", "client", "kind", "period", "active", "created_at", "updated_at"),
        key=("code",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """What a schema says of a point or a client in a period."""

    schema: str
    group: str
    """Code of the point or the client; empty: all points that belong to no client."""
    starts_at: datetime
    """When the period begins."""
    point: str | None
    """None: it is of a whole client."""
    client: str | None
    """Whose it is."""
    values: dict[str, float | None]
    """By field; null where something is missing, or nothing comes of it."""
    flags: list[str]
    """Codes of the rules that do not hold."""
    reasons: dict[str, str]
    """Why a field, or a rule as `rules.<code>`, says nothing although nothing is missing."""
    readings: int
    """Instants that have a part in it."""
    computed_at: datetime


RECORDS = ListShape(
    name="records",
    columns=("group", "starts_at", "point", "client", "flags", "reasons", "readings", "computed_at"),
    filters={"group": Code, "point": Code, "client": Code, "starts_at": datetime, "readings": float},
    searched=("group",),
    ordered=("starts_at", "group", "readings", "computed_at"),
    key=("starts_at", "group"),
)
