"""API keys in SQL; their secrets only as digests."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.common.adapters.sql_reads import ask, ask_one
from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.adapters.sql_identity import permissions_of
from caudal.gateway_api.adapters.sql_listing import SqlList
from caudal.gateway_api.adapters.tables import api_keys, clients, providers
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import API_KEYS
from caudal.gateway_api.domain.permissions import ApiKey, Scope

USED_EVERY = timedelta(minutes=1)
"""How often it is written down that a key is in use."""

_PLAIN = ("id", "prefix", "created_at", "provider", "device", "client", "label", "created_by")
_WHEN = ("expires_at", "last_used_at")
_unrevoked = sa.select(api_keys).where(api_keys.c.revoked_at.is_(None))
_by_digest = (
    _unrevoked.select_from(
        api_keys.outerjoin(providers, providers.c.code == api_keys.c.provider).outerjoin(
            clients, clients.c.code == sa.func.coalesce(api_keys.c.client, providers.c.client)
        )
    )
    .where(api_keys.c.digest == sa.bindparam("digest"))
    .where(sa.or_(clients.c.code.is_(None), clients.c.active))
)


def _keys(scope: Scope) -> sa.Select[Any]:
    return _unrevoked if scope.client is None else _unrevoked.where(api_keys.c.client == scope.client)


_KEYS = SqlList(_keys, API_KEYS)


class SqlApiKeys:
    """Keys, as those who come with one need them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._used: dict[str, datetime] = {}

    async def by_digest(self, digest: str, at: datetime) -> ApiKey | None:
        row = await ask_one(self._engine, _by_digest, {"digest": digest})
        key = _key_of(row) if row else None
        return None if key is None or (key.expires_at is not None and key.expires_at <= at) else key

    async def used(self, key: str, at: datetime) -> None:
        seen = self._used.get(key)
        if seen is not None and at - seen < USED_EVERY:
            return
        self._used[key] = at
        earlier = sa.or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= at - USED_EVERY)
        async with transaction(self._engine) as connection:
            await connection.execute(sa.update(api_keys).where(api_keys.c.id == key, earlier).values(last_used_at=at))

    async def one(self, key: str, scope: Scope) -> ApiKey | None:
        row = await ask_one(self._engine, _keys(scope).where(api_keys.c.id == key))
        return _key_of(row) if row else None

    async def of_provider(self, provider: str) -> list[ApiKey]:
        query = _unrevoked.where(api_keys.c.provider == provider).order_by(api_keys.c.created_at, api_keys.c.id)
        return [_key_of(row) for row in await ask(self._engine, query)]

    async def listed(self, listing: Listing, scope: Scope) -> Page[ApiKey]:
        rows, total = await _KEYS.page(self._engine, scope, listing)
        return Page(items=[_key_of(row) for row in rows], total=total, page=listing.page, page_size=listing.page_size)


class SqlKeyRack:
    """Keys, within a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, key: ApiKey, digest: str) -> None:
        await self._check_there("client", clients, key.client)
        await self._check_there("provider", providers, key.provider)
        row = {name: getattr(key, name) for name in (*_PLAIN, *_WHEN)}
        await self._connection.execute(sa.insert(api_keys).values(**row, permissions=_words(key), digest=digest))

    async def one(self, key: str) -> ApiKey | None:
        query = _unrevoked.where(api_keys.c.id == key).with_for_update()
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return _key_of(row) if row else None

    async def _check_there(self, field: str, table: sa.Table, code: str | None) -> None:
        query = sa.select(table.c.code).where(table.c.code == code).with_for_update(read=True)
        if code is not None and (await self._connection.execute(query)).one_or_none() is None:
            raise InvalidInput(field, f"there is no {field} {code!r}")

    async def put(self, key: ApiKey) -> None:
        row = {"label": key.label, "permissions": _words(key), "expires_at": key.expires_at}
        await self._connection.execute(sa.update(api_keys).where(api_keys.c.id == key.id).values(row))

    async def revoke(self, key: str, at: datetime) -> None:
        await self._connection.execute(sa.update(api_keys).where(api_keys.c.id == key).values(revoked_at=at))


def _words(key: ApiKey) -> str:
    return msgspec.json.encode(sorted(key.permissions)).decode()


def _key_of(row: Mapping[Any, Any]) -> ApiKey:
    return ApiKey(**{name: row[name] for name in (*_PLAIN, *_WHEN)}, permissions=permissions_of(row["permissions"]))
