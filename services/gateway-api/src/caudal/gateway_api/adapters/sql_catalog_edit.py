"""One transaction on the catalog: the only code that writes points, variables and providers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.common.adapters.sql_catalog import provider_of
from caudal.common.adapters.sql_reads import Row
from caudal.common.domain.catalog import Point, Provider, Version
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.ports import Outgoing
from caudal.gateway_api.adapters.ledger_views import ledger_raw, ledger_rejected
from caudal.gateway_api.adapters.sql_audit import SqlAudit
from caudal.gateway_api.adapters.sql_catalog_rows import (
    ONE_POINT,
    ONE_PROVIDER,
    json_text,
    point_row,
    provider_row,
    sees_provider,
    variable_row,
    whole,
)
from caudal.gateway_api.adapters.sql_ties import untie
from caudal.gateway_api.adapters.tables import (
    api_keys,
    audit_log,
    clients,
    credentials,
    outbox,
    point_versions,
    points,
    providers,
    users,
    variables,
)
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.tenancy import Tie


class SqlCatalogEdit:
    """One open transaction."""

    def __init__(self, connection: AsyncConnection, audit: SqlAudit, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope
        self.audit = audit

    async def point(self, code: str) -> Point:
        point = await _point(self._connection, code, hold=True)
        if point is None or not self._scope.sees(point.client):
            raise NotFound("point", code)
        bodies = await self._connection.execute(_earlier, {"wanted": code})
        return replace(point, earlier=tuple(msgspec.json.decode(body, type=Version) for body in bodies.scalars()))

    async def provider(self, code: str) -> Provider:
        provider = await _provider(self._connection, code, hold=True)
        if provider is None or not sees_provider(self._scope, provider.client):
            raise NotFound("provider", code)
        return provider

    async def add_point(self, point: Point, at: datetime) -> None:
        await self._check_belongings(point)
        await self._check_code(point)
        await self._write(sa.insert(points).values(**point_row(point), created_at=at, updated_at=at))
        await self._put_configuration(point, {}, at)

    async def put_point(self, point: Point, at: datetime) -> None:
        await self._check_belongings(point)
        await self._write(
            sa.update(points).where(points.c.code == point.code).values(**point_row(point), updated_at=at)
        )
        there = (await self._connection.execute(sa.select(variables).where(variables.c.point == point.code))).mappings()
        before = {row["code"]: dict(row) for row in there}
        for table in (variables, point_versions):
            await self._connection.execute(sa.delete(table).where(table.c.point == point.code))
        await self._put_configuration(point, before, at)

    async def put_credentials(
        self, owner_kind: str, owner: str, sealed: Mapping[str, str | None], at: datetime
    ) -> None:
        names = (credentials.c.owner_kind == owner_kind, credentials.c.owner == owner)
        await self._connection.execute(sa.delete(credentials).where(*names, credentials.c.name.in_(sealed)))
        rows = [
            {"owner_kind": owner_kind, "owner": owner, "name": name, "sealed": text, "updated_at": at}
            for name, text in sealed.items()
            if text is not None
        ]
        if rows:
            await self._connection.execute(sa.insert(credentials), rows)

    async def _forget_credentials(self, owner_kind: str, owner: str) -> None:
        own = sa.delete(credentials).where(credentials.c.owner_kind == owner_kind, credentials.c.owner == owner)
        await self._connection.execute(own)

    async def remove_point(self, code: str) -> Sequence[Tie]:
        ties = await untie(self._connection, lambda table: table.c.point == code)
        await self._forget_credentials("point", code)
        await self._connection.execute(sa.delete(points).where(points.c.code == code))
        return ties

    async def add_provider(self, provider: Provider, at: datetime) -> None:
        await self._check_client(provider.client)
        await self._write(sa.insert(providers).values(**provider_row(provider), created_at=at, updated_at=at))

    async def put_provider(self, provider: Provider, at: datetime) -> None:
        await self._check_client(provider.client)
        if provider.client is not None:
            await self._check_no_foreign_points(provider.code, provider.client)
        await self._write(
            sa.update(providers)
            .where(providers.c.code == provider.code)
            .values(**provider_row(provider), updated_at=at)
        )

    async def remove_provider(self, code: str) -> None:
        await self._forget_credentials("provider", code)
        await self._write(sa.delete(providers).where(providers.c.code == code))

    async def devices_of(self, provider: str) -> list[tuple[str, str]]:
        query = sa.select(points.c.code, points.c.device).where(points.c.provider == provider)
        return [(code, device) for code, device in await self._connection.execute(query)]

    async def is_reserved(self, device: str, client: str, point: str) -> bool:
        keys = sa.select(api_keys.c.client).where(api_keys.c.device == device, api_keys.c.revoked_at.is_(None))
        holders = set((await self._connection.execute(keys)).scalars())
        if holders:
            return client not in holders
        raw, rejected = ledger_raw.c, ledger_rejected.c
        heard = sa.or_(
            sa.exists().where(raw.device == device, raw.point.is_distinct_from(point)),
            sa.exists().where(rejected.device == device),
        )
        return bool((await self._connection.execute(sa.select(heard))).scalar_one())

    async def tell(self, message: Outgoing, at: datetime) -> None:
        row = {"topic": message.topic, "payload": message.payload, "retain": message.retain, "created_at": at}
        await self._connection.execute(sa.insert(outbox).values(row))

    async def forget_foreign(self, point: str, client: str | None) -> Sequence[Tie]:
        foreign = sa.select(users.c.id).where(users.c.client.is_not(None), users.c.client.is_distinct_from(client))
        return await untie(self._connection, lambda table: sa.and_(table.c.point == point, table.c.user.in_(foreign)))

    async def _check_belongings(self, point: Point) -> None:
        """Its client and its provider are there, and the provider is shared or that client's."""
        await self._check_client(point.client)
        if point.provider is None:
            return
        provider = await _provider(self._connection, point.provider)
        if provider is None or (provider.client is not None and provider.client != point.client):
            raise InvalidInput("provider", f"there is no provider {point.provider!r}")

    async def _check_client(self, code: str | None) -> None:
        query = sa.select(clients.c.code).where(clients.c.code == code)
        if code is not None and (await self._connection.execute(query)).one_or_none() is None:
            raise InvalidInput("client", f"there is no client {code!r}")

    async def _check_no_foreign_points(self, provider: str, client: str) -> None:
        foreign = sa.select(points.c.code).where(
            points.c.provider == provider, points.c.client.is_distinct_from(client)
        )
        if (await self._connection.execute(foreign.limit(1))).first() is not None:
            raise Conflict("points of others belong to this provider: give them another one first", "client")

    async def _check_code(self, point: Point) -> None:
        """A code leads to all readings that were ever stored under it: it never goes to another client."""
        query = (
            sa.select(audit_log.c.client)
            .where(audit_log.c.kind == "point", audit_log.c.key == point.code)
            .order_by(audit_log.c.number.desc())
            .limit(1)
        )
        last = (await self._connection.execute(query)).one_or_none()
        if last is not None and last.client is not None and last.client != point.client:
            raise Conflict("this code is taken", "code")

    async def _put_configuration(self, point: Point, before: Mapping[str, Row], at: datetime) -> None:
        rows = [variable_row(point.code, place, variable) for place, variable in enumerate(point.variables)]
        for row in rows:
            row |= _times_of(row, before.get(row["code"]), at)
        if rows:
            await self._connection.execute(sa.insert(variables), rows)
        earlier = [
            {"point": point.code, "valid_until": version.valid_until, "body": json_text(version)}
            for version in point.earlier
        ]
        if earlier:
            await self._connection.execute(sa.insert(point_versions), earlier)

    async def _write(self, statement: sa.Insert | sa.Update | sa.Delete) -> None:
        try:
            await self._connection.execute(statement)
        except IntegrityError as error:
            raise _conflict_of(error) from error


def _times_of(variable: Row, before: Row | None, at: datetime) -> dict[str, datetime]:
    """When a variable was added, and when it became what it is."""
    if before is None:
        return {"created_at": at, "updated_at": at}
    is_same = before["body"] == variable["body"]
    return {"created_at": before["created_at"], "updated_at": before["updated_at"] if is_same else at}


def _conflict_of(error: IntegrityError) -> Conflict:
    """Which promise of the tables a statement would have broken, in words."""
    # The first line names the constraint; what follows in PostgreSQL holds values, which anybody may choose.
    broken = str(error.orig).splitlines()[0].lower()
    if "foreign key" in broken:
        return Conflict("points still belong to this provider: give them another one first")
    if "points_device_key" in broken or "points.device" in broken:
        return Conflict("another point claims this device", "device")
    return Conflict("this code is taken", "code")


_hold_point = sa.select(points.c.code).where(points.c.code == sa.bindparam("wanted")).with_for_update()
_earlier = (
    sa.select(point_versions.c.body)
    .where(point_versions.c.point == sa.bindparam("wanted"))
    .order_by(point_versions.c.valid_until)
)
_held_provider = ONE_PROVIDER.with_for_update()


async def _point(connection: AsyncConnection, code: str, hold: bool = False) -> Point | None:
    if hold:
        # First and by itself: a statement that waits for another editor sees the rest as it was before.
        await connection.execute(_hold_point, {"wanted": code})
    row = (await connection.execute(ONE_POINT, {"wanted": code})).mappings().one_or_none()
    return whole(dict(row)) if row else None


async def _provider(connection: AsyncConnection, code: str, hold: bool = False) -> Provider | None:
    found = await connection.execute(_held_provider if hold else ONE_PROVIDER, {"wanted": code})
    row = found.mappings().one_or_none()
    return provider_of(dict(row)) if row else None
