"""Sealed secrets in SQL, and what ingest tells of asking providers."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sealing import Sealer, place_of
from caudal.common.adapters.sql import UtcDateTime, reading, transaction
from caudal.gateway_api.adapters.tables import credentials, points
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.polling import PointPolling, ProviderPolling

_KEY = (credentials.c.owner_kind, credentials.c.owner, credentials.c.name)


class SqlCredentials:
    """`Credentials`, each sealed by itself."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer

    async def names(self, owner_kind: str, owner: str) -> dict[str, datetime]:
        query = (
            sa.select(credentials.c.name, credentials.c.updated_at)
            .where(credentials.c.owner_kind == owner_kind, credentials.c.owner == owner)
            .order_by(credentials.c.name)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).mappings()
            return {row["name"]: row["updated_at"] for row in rows}

    async def secret(self, owner_kind: str, owner: str, name: str) -> str | None:
        key = (owner_kind, owner, name)
        query = sa.select(credentials.c.sealed).where(
            *(column == value for column, value in zip(_KEY, key, strict=True))
        )
        async with reading(self._engine) as connection:
            sealed = (await connection.execute(query)).scalar_one_or_none()
        return None if sealed is None else self._sealer.unseal(place_of(*key), sealed)

    async def reseal(self) -> int:
        query = sa.select(*_KEY, credentials.c.sealed).with_for_update()
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query)).all()
            for kind, owner, name, sealed in rows:
                place = place_of(kind, owner, name)
                again = self._sealer.seal(place, self._sealer.unseal(place, sealed))
                key = (credentials.c.owner_kind == kind, credentials.c.owner == owner, credentials.c.name == name)
                await connection.execute(sa.update(credentials).where(*key).values(sealed=again))
        return len(rows)


# ---------------------------------------------------------------- views that ingest's migration publishes

_POINT = ("asked_at", "answered_at", "measured_until", "complete_until", "complete_from", "error_at")
polling_points = sa.table(
    "polling_points",
    *(sa.column(name, UtcDateTime) for name in _POINT),
    *(sa.column(name, sa.String) for name in ("point", "provider", "error")),
    sa.column("failures", sa.Integer),
    sa.column("is_behind", sa.Boolean),
)
polling_providers = sa.table(
    "polling_providers",
    *(
        sa.column(name, UtcDateTime)
        for name in ("connected_at", "connected_since", "heard_at", "error_at", "open_until")
    ),
    *(sa.column(name, sa.String) for name in ("provider", "error")),
)


class SqlPollingStates:
    """`PollingStates` in ingest's views."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def point(self, code: str) -> PointPolling | None:
        query = sa.select(polling_points).where(polling_points.c.point == code)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return PointPolling(**{name: row[name] for name in row if name not in ("point", "provider")}) if row else None

    async def provider(self, code: str, scope: Scope) -> ProviderPolling | None:
        own = polling_points.c.provider == code
        if scope.client is not None:
            theirs = sa.select(points.c.code).where(points.c.client == scope.client)
            own = sa.and_(own, polling_points.c.point.in_(theirs))
        counts = sa.select(
            sa.func.count().label("points"),
            sa.func.count().filter(polling_points.c.failures > 0).label("failing"),
            sa.func.min(polling_points.c.measured_until, type_=UtcDateTime).label("oldest_measured_until"),
        ).where(own)
        state = sa.select(polling_providers).where(polling_providers.c.provider == code)
        async with reading(self._engine) as connection:
            row = (await connection.execute(state)).mappings().one_or_none()
            counted = (await connection.execute(counts)).mappings().one()
        return ProviderPolling(**{name: row[name] for name in row if name != "provider"}, **counted) if row else None
