"""Users in SQL: who they are and what they may."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import UtcDateTime, reading, transaction
from caudal.common.adapters.sql_reads import ask, ask_one
from caudal.common.ports import Clock
from caudal.gateway_api.adapters.sql_scope import points_agreed
from caudal.gateway_api.adapters.tables import clients, owners, roles, sessions, users
from caudal.gateway_api.domain.permissions import Known, Permission, User, effective, is_permission
from caudal.gateway_api.domain.tenancy import OWNER_PERMISSIONS
from caudal.gateway_api.ports import Users

_known = sa.select(users, roles.c.permissions, clients.c.active.label("client_active")).select_from(
    users.join(roles, roles.c.code == users.c.role).outerjoin(clients, clients.c.code == users.c.client)
)
_in_session = _known.join(sessions, sessions.c.user == users.c.id).where(
    users.c.id == sa.bindparam("user"),
    sessions.c.id == sa.bindparam("session"),
    sessions.c.ended_at.is_(None),
    sessions.c.expires_at > sa.bindparam("now", type_=UtcDateTime),
)


class SqlUsers:
    """People who can log in."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def known(self, user: str, session: str) -> Known | None:
        values = {"user": user, "session": session, "now": self._clock.now()}
        row = await ask_one(self._engine, _in_session, values)
        return _known_of(row) if row else None

    async def agreed(self, user: str, point: str) -> frozenset[Permission]:
        query = sa.select(owners.c.permissions).where(owners.c.user == user, owners.c.point == point)
        rows = await ask(self._engine, query)
        return frozenset().union(*(permissions_of(row["permissions"]) for row in rows)) & OWNER_PERMISSIONS

    async def is_agreed(self, user: str, permission: Permission) -> bool:
        query = points_agreed(user, permission) if permission in OWNER_PERMISSIONS else None
        return query is not None and await ask_one(self._engine, query.limit(1)) is not None

    async def by_email(self, email: str) -> tuple[User, str] | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(sa.select(users).where(users.c.email == email))).mappings().one_or_none()
        return (_user_of(row), row["password_hash"]) if row else None

    async def is_empty(self) -> bool:
        async with reading(self._engine) as connection:
            return await _is_empty(connection)

    async def add_first(self, user: User, password_hash: str) -> bool:
        now = self._clock.now()
        row = {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "password_hash": password_hash,
            "role": user.role,
            "client": user.client,
            "active": user.active,
            "created_at": now,
            "updated_at": now,
        }
        try:
            async with transaction(self._engine) as connection:
                if not await _is_empty(connection):
                    return False
                await connection.execute(sa.insert(users).values(row))
        except IntegrityError:
            # Another replica was faster.
            return False
        return True


class SqlPeople:
    """Users, within a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def by_email(self, email: str) -> Known | None:
        return await self._one(users.c.email == email)

    async def by_id(self, user: str) -> Known | None:
        return await self._one(users.c.id == user)

    async def has_password(self, user: str, password_hash: str) -> bool:
        query = sa.select(users.c.password_hash).where(users.c.id == user).with_for_update(key_share=True)
        return (await self._connection.execute(query)).scalar_one_or_none() == password_hash

    async def set_password(self, user: str, password_hash: str, at: datetime) -> None:
        values = {"password_hash": password_hash, "updated_at": at}
        await self._connection.execute(sa.update(users).where(users.c.id == user).values(values))

    async def _one(self, which: sa.ColumnElement[bool]) -> Known | None:
        row = (await self._connection.execute(_known.where(which))).mappings().one_or_none()
        return _known_of(row) if row else None


class RememberedUsers:
    """Other users, remembered for a moment: who comes with a token asks many things at once.

    Who is switched off or has logged out is outside `age` later.
    """

    def __init__(self, inner: Users, clock: Clock, age: timedelta = timedelta(seconds=2), max_entries: int = 1000):
        self._inner = inner
        self._clock = clock
        self._age = age
        self._max_entries = max_entries
        self._known: dict[tuple[str, str], tuple[datetime, Known | None]] = {}

    async def known(self, user: str, session: str) -> Known | None:
        now = self._clock.now()
        known = self._known.get((user, session))
        if known is not None and timedelta(0) <= now - known[0] < self._age:
            return known[1]
        found = await self._inner.known(user, session)
        if len(self._known) >= self._max_entries:
            self._known.clear()
        self._known[user, session] = (now, found)
        return found

    async def agreed(self, user: str, point: str) -> frozenset[Permission]:
        return await self._inner.agreed(user, point)

    async def is_agreed(self, user: str, permission: Permission) -> bool:
        return await self._inner.is_agreed(user, permission)

    async def by_email(self, email: str) -> tuple[User, str] | None:
        return await self._inner.by_email(email)

    async def is_empty(self) -> bool:
        return await self._inner.is_empty()

    async def add_first(self, user: User, password_hash: str) -> bool:
        return await self._inner.add_first(user, password_hash)


async def _is_empty(connection: AsyncConnection) -> bool:
    return (await connection.execute(sa.select(users.c.id).limit(1))).first() is None


def _known_of(row: Mapping[Any, Any]) -> Known:
    """Nobody of a client that was switched off is active."""
    user = _user_of(row)
    active = user.active and (user.client is None or bool(row["client_active"]))
    return Known(replace(user, active=active), effective(permissions_of(row["permissions"]), user.client))


def _user_of(row: Mapping[Any, Any]) -> User:
    fields = {name: row[name] for name in ("id", "email", "role", "name", "client")}
    return User(**fields, active=bool(row["active"]))


def permissions_of(text: str) -> frozenset[Permission]:
    """Permissions in a JSON list of words; words of a later version are left out."""
    return frozenset(Permission(word) for word in msgspec.json.decode(text) if is_permission(word))
