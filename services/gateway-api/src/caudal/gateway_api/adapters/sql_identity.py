"""Users, their failed logins and providers' keys in SQL."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import reading, transaction
from caudal.common.adapters.sql_reads import ask, ask_one
from caudal.common.domain.errors import NotFound
from caudal.common.ports import Clock
from caudal.gateway_api.adapters.tables import api_keys, clients, login_attempts, roles, users
from caudal.gateway_api.domain.errors import TooManyAttempts
from caudal.gateway_api.domain.permissions import ApiKey, Known, Permission, User, effective, is_permission
from caudal.gateway_api.ports import Users

ATTEMPTS = 5
"""Failures after which an account, or an address, has to wait."""
ATTEMPT_AGE = timedelta(minutes=15)
"""How long a failure counts."""


_by_id = (
    sa.select(users, roles.c.permissions, clients.c.active.label("client_active"))
    .select_from(users.join(roles, roles.c.code == users.c.role).outerjoin(clients, clients.c.code == users.c.client))
    .where(users.c.id == sa.bindparam("wanted"))
)


class SqlUsers:
    """People who can log in."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def by_id(self, user: str) -> Known | None:
        row = await ask_one(self._engine, _by_id, {"wanted": user})
        return _known_of(row) if row else None

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


class RememberedUsers:
    """Other users, remembered for a moment: who comes with a token asks many things at once.

    Who is switched off is outside `age` later.
    """

    def __init__(self, inner: Users, clock: Clock, age: timedelta = timedelta(seconds=2), max_entries: int = 1000):
        self._inner = inner
        self._clock = clock
        self._age = age
        self._max_entries = max_entries
        self._known: dict[str, tuple[datetime, Known | None]] = {}

    async def by_id(self, user: str) -> Known | None:
        now = self._clock.now()
        known = self._known.get(user)
        if known is not None and timedelta(0) <= now - known[0] < self._age:
            return known[1]
        found = await self._inner.by_id(user)
        if len(self._known) >= self._max_entries:
            self._known.clear()
        self._known[user] = (now, found)
        return found

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


class SqlLoginAttempts:
    """Failed logins, counted so that many at once are no way around the limit.

    An attempt is written down as failed, and committed, before the failures are counted: of any number that run at
    once, each sees all that were written before it, so no more than `ATTEMPTS` get through.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, account: str, address: str, at: datetime) -> int:
        since = at - ATTEMPT_AGE
        row = {"account": _digest(account), "address": _digest(address), "at": at}
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(login_attempts).where(login_attempts.c.at <= since))
            added = await connection.execute(sa.insert(login_attempts).values(row).returning(login_attempts.c.id))
            attempt = int(added.scalar_one())
        async with transaction(self._engine) as connection:
            oldest = await _oldest_beyond_limit(connection, row["account"], row["address"], since)
            if oldest is None:
                return attempt
            await connection.execute(sa.delete(login_attempts).where(login_attempts.c.id == attempt))
        raise TooManyAttempts(max(1.0, (oldest + ATTEMPT_AGE - at).total_seconds()))

    async def succeeded(self, attempt: int, account: str) -> None:
        mine = sa.or_(login_attempts.c.id == attempt, login_attempts.c.account == _digest(account))
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(login_attempts).where(mine))


async def _oldest_beyond_limit(
    connection: AsyncConnection, account: object, address: object, since: datetime
) -> datetime | None:
    """When the failure was whose ageing lets the next attempt in; None: the limit is not reached."""
    found: list[datetime] = []
    for column, value in ((login_attempts.c.account, account), (login_attempts.c.address, address)):
        query = (
            sa.select(login_attempts.c.at)
            .where(column == value, login_attempts.c.at > since)
            .order_by(login_attempts.c.id.desc())
            .offset(ATTEMPTS)
            .limit(1)
        )
        found += (await connection.execute(query)).scalars()
    return max(found, default=None)


def _digest(text: str) -> str:
    """People type passwords where the address belongs: none is kept as it is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class SqlApiKeys:
    """Keys with which providers push; their secrets only as digests."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, key: ApiKey, digest: str, at: datetime) -> None:
        row = {
            "id": key.id,
            "provider": key.provider,
            "digest": digest,
            "prefix": key.prefix,
            "label": key.label,
            "permissions": '["telemetry:push"]',
            "created_by": "",
            "created_at": at,
        }
        try:
            async with transaction(self._engine) as connection:
                await connection.execute(sa.insert(api_keys).values(row))
        except IntegrityError as error:
            raise NotFound("provider", key.provider) from error

    async def by_digest(self, digest: str) -> ApiKey | None:
        found = await self._working(api_keys.c.digest == digest)
        return found[0] if found else None

    async def of_provider(self, provider: str) -> list[ApiKey]:
        return await self._working(api_keys.c.provider == provider)

    async def revoke(self, provider: str, key: str, at: datetime) -> bool:
        statement = (
            sa.update(api_keys)
            .where(api_keys.c.provider == provider, api_keys.c.id == key, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=at)
        )
        async with transaction(self._engine) as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def _working(self, condition: sa.ColumnElement[bool]) -> list[ApiKey]:
        query = sa.select(api_keys).where(condition, api_keys.c.revoked_at.is_(None)).order_by(api_keys.c.created_at)
        rows = await ask(self._engine, query)
        return [
            ApiKey(id=row["id"], provider=row["provider"], prefix=row["prefix"], label=row["label"]) for row in rows
        ]
