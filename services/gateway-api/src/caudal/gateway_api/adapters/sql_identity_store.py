"""Roles, the audit log and pending resets in SQL, and the transaction on who may come in."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql_reads import ask_one
from caudal.gateway_api.adapters.sql_audit import audited
from caudal.gateway_api.adapters.sql_identity import SqlPeople, permissions_of
from caudal.gateway_api.adapters.sql_keys import SqlKeyRack
from caudal.gateway_api.adapters.sql_listing import SqlList
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.sql_sessions import SqlResets, SqlSessions
from caudal.gateway_api.adapters.tables import audit_log, password_resets, roles, users
from caudal.gateway_api.domain.audit import AuditLine
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import AUDIT, RESETS, ROLES
from caudal.gateway_api.domain.permissions import EVERYWHERE, Role, Scope
from caudal.gateway_api.domain.sessions import PendingReset
from caudal.gateway_api.ports import IdentityWork

T = TypeVar("T")

_RESET = tuple(field.name for field in fields(PendingReset))
_LINE = tuple(field.name for field in fields(AuditLine) if field.name not in ("before", "after"))
_pending = (
    sa.select(password_resets, users.c.email, users.c.client)
    .select_from(password_resets.join(users, users.c.id == password_resets.c.user))
    .where(password_resets.c.used_at.is_(None), password_resets.c.expires_at > sa.bindparam("now"))
)


def _resets(scope: Scope) -> sa.Select[Any]:
    return _pending if scope.client is None else _pending.where(users.c.client == scope.client)


def _lines(scope: Scope) -> sa.Select[Any]:
    return sa.select(audit_log).where(SCOPES["act"](scope))


_ROLES = SqlList(lambda _everywhere: sa.select(roles), ROLES)
_AUDIT = SqlList(_lines, AUDIT)
_RESETS = SqlList(_resets, RESETS)


class SqlIdentityStore:
    """Who may come in, and who did what."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def work(self) -> AsyncIterator[IdentityWork]:
        async with audited(self._engine) as (connection, audit):
            yield IdentityWork(
                people=SqlPeople(connection),
                sessions=SqlSessions(connection),
                resets=SqlResets(connection),
                roles=SqlRoles(connection),
                keys=SqlKeyRack(connection),
                audit=audit,
            )

    async def roles(self, listing: Listing) -> Page[Role]:
        rows, total = await _ROLES.page(self._engine, EVERYWHERE, listing)
        return _page([_role_of(row) for row in rows], total, listing)

    async def role(self, code: str) -> Role | None:
        row = await ask_one(self._engine, sa.select(roles).where(roles.c.code == code))
        return _role_of(row) if row else None

    async def audit(self, listing: Listing, scope: Scope) -> Page[AuditLine]:
        newest_first = listing if listing.order else replace(listing, order=("-number",))
        rows, total = await _AUDIT.page(self._engine, scope, newest_first)
        return _page([_line_of(row) for row in rows], total, listing)

    async def pending_resets(self, listing: Listing, scope: Scope, at: datetime) -> Page[PendingReset]:
        rows, total = await _RESETS.page(self._engine, scope, listing, now=at)
        return _page([PendingReset(**{name: row[name] for name in _RESET}) for row in rows], total, listing)


class SqlRoles:
    """What users can be, within a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def one(self, code: str) -> Role | None:
        query = sa.select(roles).where(roles.c.code == code).with_for_update()
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return _role_of(row) if row else None

    async def add(self, role: Role) -> None:
        row = {"code": role.code, "created_at": role.created_at, **_told(role)}
        try:
            await self._connection.execute(sa.insert(roles).values(row))
        except IntegrityError as error:
            raise Conflict("this code is taken", "code") from error

    async def put(self, role: Role) -> None:
        await self._connection.execute(sa.update(roles).where(roles.c.code == role.code).values(_told(role)))

    async def remove(self, code: str) -> None:
        try:
            await self._connection.execute(sa.delete(roles).where(roles.c.code == code))
        except IntegrityError as error:
            raise Conflict("users have this role: give them another one first") from error


def _told(role: Role) -> dict[str, Any]:
    words = msgspec.json.encode(sorted(role.permissions)).decode()
    return {"name": role.name, "permissions": words, "updated_at": role.updated_at}


def _role_of(row: Mapping[Any, Any]) -> Role:
    plain = {name: row[name] for name in ("code", "name", "created_at", "updated_at")}
    return Role(**plain, permissions=permissions_of(row["permissions"]))


def _line_of(row: Mapping[Any, Any]) -> AuditLine:
    before, after = (msgspec.json.decode(row[name]) if row[name] else None for name in ("before", "after"))
    return AuditLine(**{name: row[name] for name in _LINE}, before=before, after=after)


def _page(items: Sequence[T], total: int, listing: Listing) -> Page[T]:
    return Page(items=list(items), total=total, page=listing.page, page_size=listing.page_size)
