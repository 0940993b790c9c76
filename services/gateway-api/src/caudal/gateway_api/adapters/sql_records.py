"""Clients, users, owners, notification preferences and dynamic schemas in SQL: one row each, kept in one way."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql_reads import ask, ask_one
from caudal.common.domain.errors import NotFound
from caudal.common.ports import Outgoing
from caudal.gateway_api.adapters.sql_audit import SqlAudit, audited
from caudal.gateway_api.adapters.sql_identity import permissions_of
from caudal.gateway_api.adapters.sql_listing import SqlList
from caudal.gateway_api.adapters.sql_scope import SCOPES, points_of
from caudal.gateway_api.adapters.sql_sessions import SqlResets, SqlSessions
from caudal.gateway_api.adapters.sql_ties import untie
from caudal.gateway_api.adapters.tables import (
    api_keys,
    clients,
    notification_preferences,
    outbox,
    owners,
    points,
    providers,
    roles,
    schemas,
    users,
)
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import ADMIN, Permission, Scope
from caudal.gateway_api.domain.records import CLIENTS, OWNERS, PREFERENCES, SCHEMAS, USERS, Kind
from caudal.gateway_api.domain.tenancy import Tie
from caudal.gateway_api.ports import RecordsEdit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a kind is kept."""

    table: sa.Table
    json: tuple[str, ...] = ()
    """Columns that are JSON text."""
    taken: tuple[str, str] = ("this is there already", "")
    """What a second one of the same is told, and by which field it is the same."""


_PLACES: Mapping[str, _Place] = {
    CLIENTS.name: _Place(clients, taken=("this code is taken", "code")),
    SCHEMAS.name: _Place(schemas, ("points", "fields", "rules", "display"), ("this code is taken", "code")),
    USERS.name: _Place(users, taken=("another user has this address", "email")),
    OWNERS.name: _Place(owners, ("permissions",), ("the user is this to the point already", "kind")),
    PREFERENCES.name: _Place(
        notification_preferences, ("types", "channels"), ("the user has a preference about this already", "point")
    ),
}


_BELONGINGS = (users, points, providers, schemas, api_keys)
"""Tables of what belongs to a client."""

_ADMINS_LOCK = sa.text("select pg_advisory_xact_lock(hashtext('caudal administrators'))")


class SqlRecords:
    """What is one row each; every question is asked within somebody's scope."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def edit(self, scope: Scope) -> AsyncIterator[RecordsEdit]:
        async with audited(self._engine) as (connection, audit):
            yield _SqlRecordsEdit(connection, audit, scope)

    async def one(self, kind: Kind[T], scope: Scope, key: str) -> T | None:
        row = await ask_one(self._engine, _selected(kind, scope).where(_is(kind, key)))
        return _record_of(kind, row) if row else None

    async def page(self, kind: Kind[T], scope: Scope, listing: Listing) -> Page[T]:
        rows, total = await _LISTS[kind.name].page(self._engine, scope, listing)
        items = [_record_of(kind, row) for row in rows]
        return Page(items=items, total=total, page=listing.page, page_size=listing.page_size)

    async def addresses(self, scope: Scope, of: Sequence[str]) -> Mapping[str, str]:
        query = sa.select(users.c.id, users.c.email).where(SCOPES[USERS.name](scope), users.c.id.in_(of))
        return {row["id"]: row["email"] for row in await ask(self._engine, query)}


class _SqlRecordsEdit:
    """One open transaction."""

    def __init__(self, connection: AsyncConnection, audit: SqlAudit, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope
        self.audit = audit

    async def one(self, kind: Kind[T], key: str) -> T:
        query = _selected(kind, self._scope).where(_is(kind, key)).with_for_update()
        row = (await self._connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise NotFound(kind.name, key)
        return _record_of(kind, dict(row))

    async def add(self, kind: Kind[T], record: T, **hidden: str) -> None:
        await self._write(kind, sa.insert(_PLACES[kind.name].table).values(**_row_of(kind, record), **hidden))

    async def put(self, kind: Kind[T], record: T, **hidden: str) -> None:
        statement = sa.update(_PLACES[kind.name].table).where(_is(kind, kind.key_of(record)))
        await self._write(kind, statement.values(**_row_of(kind, record), **hidden))

    async def remove(self, kind: Kind[T], key: str) -> None:
        await self._write(kind, sa.delete(_PLACES[kind.name].table).where(_is(kind, key)))

    async def tell(self, message: Outgoing, at: datetime) -> None:
        row = {"topic": message.topic, "payload": message.payload, "retain": message.retain, "created_at": at}
        await self._connection.execute(sa.insert(outbox).values(row))

    async def client_of_point(self, point: str) -> tuple[str | None] | None:
        query = sa.select(points.c.client).where(points.c.code == point, SCOPES["point"](self._scope))
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else (row.client,)

    async def belongings(self, client: str) -> Mapping[str, int]:
        revoked = sa.and_(api_keys.c.client == client, api_keys.c.revoked_at.is_not(None))
        await self._connection.execute(sa.delete(api_keys).where(revoked))
        counts = [
            sa.select(sa.func.count()).where(table.c.client == client).scalar_subquery().label(table.name)
            for table in _BELONGINGS
        ]
        [row] = (await self._connection.execute(sa.select(*counts))).mappings()
        return {name.replace("_", " "): count for name, count in row.items()}

    async def forget_foreign(self, user: str, client: str | None) -> Sequence[Tie]:
        if client is None:
            return ()
        own = points_of(Scope(client))
        return await untie(self._connection, lambda table: sa.and_(table.c.user == user, table.c.point.not_in(own)))

    async def forget_ties(self, user: str) -> Sequence[Tie]:
        return await untie(self._connection, lambda table: table.c.user == user)

    async def end_sessions(self, user: str, at: datetime, because: str) -> None:
        await SqlSessions(self._connection).end_all(user, at, because)

    async def close_resets(self, user: str, at: datetime) -> None:
        await SqlResets(self._connection).close_all(user, at)

    async def permissions_of(self, role: str) -> frozenset[Permission] | None:
        query = sa.select(roles.c.permissions).where(roles.c.code == role)
        words = (await self._connection.execute(query)).scalar_one_or_none()
        return None if words is None else permissions_of(words)

    async def other_admins(self, user: str) -> int:
        if self._connection.dialect.name == "postgresql":
            # Of two who take the last two away one waits here and then sees what the other did.
            await self._connection.execute(_ADMINS_LOCK)
        admins = sa.and_(users.c.role == ADMIN, users.c.client.is_(None), users.c.active.is_(True))
        query = sa.select(sa.func.count()).where(admins, users.c.id != user)
        return int((await self._connection.execute(query)).scalar_one())

    async def _write(self, kind: Kind[Any], statement: sa.Insert | sa.Update | sa.Delete) -> None:
        try:
            await self._connection.execute(statement)
        except IntegrityError as error:
            raise _conflict_of(kind, error) from error


def _conflict_of(kind: Kind[Any], error: IntegrityError) -> Conflict:
    """Which promise of the tables a statement would have broken, in words."""
    if "foreign key" in str(error.orig).splitlines()[0].lower():
        return Conflict(f"other things still belong to this {kind.name}: give them to another one or remove them first")
    reason, field = _PLACES[kind.name].taken
    return Conflict(reason, field)


def _selected(kind: Kind[Any], scope: Scope) -> sa.Select[Any]:
    table = _PLACES[kind.name].table
    return sa.select(*(table.c[name] for name in _columns(kind))).where(SCOPES[kind.name](scope))


_LISTS = {
    kind.name: SqlList(partial(_selected, kind), kind.shape) for kind in (CLIENTS, USERS, OWNERS, PREFERENCES, SCHEMAS)
}


def _columns(kind: Kind[Any]) -> list[str]:
    return [field.name for field in fields_of(kind.type)]


def _is(kind: Kind[Any], key: str) -> sa.ColumnElement[bool]:
    return _PLACES[kind.name].table.c[kind.key] == key


def _row_of(kind: Kind[Any], record: Any) -> dict[str, Any]:
    place = _PLACES[kind.name]
    row = {field.name: getattr(record, field.name) for field in fields_of(record)}
    return row | {name: msgspec.json.encode(row[name]).decode() for name in place.json}


def _record_of(kind: Kind[T], row: Mapping[str, Any]) -> T:
    fields = {name: row[name] for name in _columns(kind)}
    json = {name: msgspec.json.decode(row[name]) for name in _PLACES[kind.name].json}
    return msgspec.convert(fields | json, kind.type, strict=False)
