"""The catalog in SQL: the only code that writes points, variables and providers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql_catalog import SqlCatalog, point_of, provider_of
from caudal.common.adapters.sql_reads import Row, ask, ask_one, ask_value
from caudal.common.domain.catalog import Point, PointStatus, Provider, Variable, Version
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.ports import Outgoing
from caudal.gateway_api.adapters.sql_audit import SqlAudit, audited
from caudal.gateway_api.adapters.sql_listing import asked_for, page_of
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.sql_silences import STALE, STATUS, silences_among
from caudal.gateway_api.adapters.tables import (
    audit_log,
    clients,
    credentials,
    ledger_readings,
    notification_preferences,
    outbox,
    owners,
    point_versions,
    points,
    providers,
    users,
    variables,
)
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.listing import Listing, Page, search_text
from caudal.gateway_api.domain.lists import JOURNAL, POINTS, PROVIDERS, VARIABLES
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.silence import Silence, Standing
from caudal.gateway_api.ports import CatalogEdit, Change

T = TypeVar("T")


class SqlCatalogStore:
    """Points, variables and providers; each change with its journal line and its message in one transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def edit(self, scope: Scope) -> AsyncIterator[CatalogEdit]:
        async with audited(self._engine) as (connection, audit):
            yield _SqlCatalogEdit(connection, audit, scope)

    async def point(self, code: str, scope: Scope) -> Point | None:
        point = _joined(await ask(self._engine, _one_point, {"wanted": code}))
        return point if point is not None and scope.sees(point.client) else None

    async def history(self, code: str, scope: Scope) -> Point | None:
        # In one statement, by the view that other services read.
        point = await SqlCatalog(self._engine).point(code)
        return point if point is not None and scope.sees(point.client) else None

    async def readings_between(self, point: str, start: datetime | None, end: datetime | None) -> int:
        view = ledger_readings.c
        wanted = [view.point == point]
        wanted += [view.measured_at >= start] if start is not None else []
        wanted += [view.measured_at < end] if end is not None else []
        return int(
            await ask_value(self._engine, sa.select(sa.func.count()).select_from(ledger_readings).where(*wanted))
        )

    async def provider(self, code: str, scope: Scope) -> Provider | None:
        row = await ask_one(self._engine, _one_provider, {"wanted": code})
        return provider_of(row) if row and _sees_provider(scope, row["client"]) else None

    async def takes_pushes(self, provider: str) -> bool:
        return await ask_one(self._engine, _open_provider, {"wanted": provider}) is not None

    async def client_of_device(self, device: str) -> tuple[str | None] | None:
        row = await ask_one(self._engine, sa.select(points.c.client).where(points.c.device == device))
        return (row["client"],) if row else None

    async def points(self, scope: Scope, listing: Listing) -> Page[Standing]:
        columns = (column for column in points.c if column.name != "status")
        query = asked_for(sa.select(*columns, STATUS, STALE).where(SCOPES["point"](scope)), listing, POINTS)
        rows, total = await page_of(self._engine, query, listing)
        bodies: dict[str, list[str]] = {}
        for row in await ask(self._engine, _bodies, {"codes": [row["code"] for row in rows]}):
            bodies.setdefault(row["point"], []).append(row["body"])
        quiet = [row["code"] for row in rows if row["stale"] or row["status"] == PointStatus.OFFLINE]
        silences = await self.silences(quiet) if quiet else {}
        found = [Standing(point_of(row, bodies.get(row["code"], [])), silences.get(row["code"], ())) for row in rows]
        return _page(found, total, listing)

    async def silences(self, points: Sequence[str]) -> dict[str, list[Silence]]:
        return await silences_among(self._engine, points)

    async def variables(self, scope: Scope, listing: Listing) -> Page[tuple[str, Variable]]:
        query = asked_for(sa.select(variables).where(SCOPES["variable"](scope)), listing, VARIABLES)
        rows, total = await page_of(self._engine, query, listing)
        found = [(row["point"], msgspec.json.decode(row["body"], type=Variable)) for row in rows]
        return _page(found, total, listing)

    async def providers(self, scope: Scope, listing: Listing) -> Page[Provider]:
        query = asked_for(sa.select(providers).where(SCOPES["provider"](scope)), listing, PROVIDERS)
        rows, total = await page_of(self._engine, query, listing)
        return _page([provider_of(row) for row in rows], total, listing)

    async def devices_of(self, point: str) -> list[str]:
        query = (
            sa.select(audit_log.c.after)
            .where(audit_log.c.point == point, audit_log.c.kind == "point")
            .where(audit_log.c.after.is_not(None))
            .order_by(audit_log.c.number.desc())
        )
        told = [msgspec.json.decode(row["after"]) for row in await ask(self._engine, query)]
        # A line about a point's secrets tells their names and nothing of the point.
        devices = [after["device"] for after in told if "device" in after]
        return list(dict.fromkeys(devices))[::-1]

    async def changes(self, point: str, scope: Scope, listing: Listing) -> Page[Change]:
        # In the order in which it was written: several lines may be of one instant.
        numbered = replace(listing, order=("number",) if listing.order[:1] == ("at",) else ("-number",))
        query = sa.select(audit_log).where(audit_log.c.point == point, SCOPES["act"](scope))
        query = asked_for(query, numbered, JOURNAL)
        rows, total = await page_of(self._engine, query, listing)
        return _page([_change_of(row) for row in rows], total, listing)


class _SqlCatalogEdit:
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
        if provider is None or not _sees_provider(self._scope, provider.client):
            raise NotFound("provider", code)
        return provider

    async def add_point(self, point: Point, at: datetime) -> None:
        await self._check_belongings(point)
        await self._check_code(point)
        await self._write(sa.insert(points).values(**_point_row(point), created_at=at, updated_at=at))
        await self._put_configuration(point)

    async def put_point(self, point: Point, at: datetime) -> None:
        await self._check_belongings(point)
        await self._write(
            sa.update(points).where(points.c.code == point.code).values(**_point_row(point), updated_at=at)
        )
        for table in (variables, point_versions):
            await self._connection.execute(sa.delete(table).where(table.c.point == point.code))
        await self._put_configuration(point)

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

    async def remove_point(self, code: str) -> None:
        await self._forget_credentials("point", code)
        await self._connection.execute(sa.delete(points).where(points.c.code == code))

    async def add_provider(self, provider: Provider, at: datetime) -> None:
        await self._check_client(provider.client)
        await self._write(sa.insert(providers).values(**_provider_row(provider), created_at=at, updated_at=at))

    async def put_provider(self, provider: Provider, at: datetime) -> None:
        await self._check_client(provider.client)
        if provider.client is not None:
            await self._check_no_foreign_points(provider.code, provider.client)
        await self._write(
            sa.update(providers)
            .where(providers.c.code == provider.code)
            .values(**_provider_row(provider), updated_at=at)
        )

    async def remove_provider(self, code: str) -> None:
        await self._forget_credentials("provider", code)
        await self._write(sa.delete(providers).where(providers.c.code == code))

    async def devices_of(self, provider: str) -> list[tuple[str, str]]:
        query = sa.select(points.c.code, points.c.device).where(points.c.provider == provider)
        return [(code, device) for code, device in await self._connection.execute(query)]

    async def tell(self, message: Outgoing, at: datetime) -> None:
        row = {"topic": message.topic, "payload": message.payload, "retain": message.retain, "created_at": at}
        await self._connection.execute(sa.insert(outbox).values(row))

    async def forget_foreign(self, point: str, client: str | None) -> None:
        foreign = sa.select(users.c.id).where(users.c.client.is_not(None), users.c.client.is_distinct_from(client))
        for table in (owners, notification_preferences):
            gone = sa.delete(table).where(table.c.point == point, table.c.user.in_(foreign))
            await self._connection.execute(gone)

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

    async def _put_configuration(self, point: Point) -> None:
        rows = [_variable_row(point.code, place, variable) for place, variable in enumerate(point.variables)]
        if rows:
            await self._connection.execute(sa.insert(variables), rows)
        earlier = [
            {"point": point.code, "valid_until": version.valid_until, "body": _json(version)}
            for version in point.earlier
        ]
        if earlier:
            await self._connection.execute(sa.insert(point_versions), earlier)

    async def _write(self, statement: sa.Insert | sa.Update | sa.Delete) -> None:
        try:
            await self._connection.execute(statement)
        except IntegrityError as error:
            raise _conflict_of(error) from error


def _sees_provider(scope: Scope, client: str | None) -> bool:
    """Everybody sees what is shared."""
    return client is None or scope.sees(client)


def _conflict_of(error: IntegrityError) -> Conflict:
    """Which promise of the tables a statement would have broken, in words."""
    # The first line names the constraint; what follows in PostgreSQL holds values, which anybody may choose.
    broken = str(error.orig).splitlines()[0].lower()
    if "foreign key" in broken:
        return Conflict("points still belong to this provider: give them another one first")
    if "points_device_key" in broken or "points.device" in broken:
        return Conflict("another point claims this device", "device")
    return Conflict("this code is taken", "code")


_one_point = (
    sa.select(points, variables.c.body)
    .select_from(points.outerjoin(variables, variables.c.point == points.c.code))
    .where(points.c.code == sa.bindparam("wanted"))
    .order_by(variables.c.position, variables.c.code)
)
_hold_point = sa.select(points.c.code).where(points.c.code == sa.bindparam("wanted")).with_for_update()
_bodies = (
    sa.select(variables.c.point, variables.c.body)
    .where(variables.c.point.in_(sa.bindparam("codes", expanding=True)))
    .order_by(variables.c.position, variables.c.code)
)
"""Of the variables of some points, in their order."""
_earlier = (
    sa.select(point_versions.c.body)
    .where(point_versions.c.point == sa.bindparam("wanted"))
    .order_by(point_versions.c.valid_until)
)
_one_provider = sa.select(providers).where(providers.c.code == sa.bindparam("wanted"))
_open_provider = (
    sa.select(providers.c.code)
    .select_from(providers.outerjoin(clients, clients.c.code == providers.c.client))
    .where(providers.c.code == sa.bindparam("wanted"), providers.c.active)
    .where(sa.or_(clients.c.code.is_(None), clients.c.active))
)
_held_provider = _one_provider.with_for_update()


async def _point(connection: AsyncConnection, code: str, hold: bool = False) -> Point | None:
    if hold:
        # First and by itself: a statement that waits for another editor sees the rest as it was before.
        await connection.execute(_hold_point, {"wanted": code})
    return _joined([*(await connection.execute(_one_point, {"wanted": code})).mappings()])


def _joined(rows: Sequence[Row]) -> Point | None:
    """A point from itself beside each of its variables."""
    return point_of(rows[0], [row["body"] for row in rows if row["body"] is not None]) if rows else None


async def _provider(connection: AsyncConnection, code: str, hold: bool = False) -> Provider | None:
    found = await connection.execute(_held_provider if hold else _one_provider, {"wanted": code})
    row = found.mappings().one_or_none()
    return provider_of(dict(row)) if row else None


def _point_row(point: Point) -> dict[str, Any]:
    return {
        "code": point.code,
        "device": point.device,
        "client": point.client,
        "provider": point.provider,
        "type": point.type.value,
        "status": point.status.value,
        "name": point.name,
        "search_text": search_text(point.code, point.name, point.device),
        "latitude": point.latitude,
        "longitude": point.longitude,
        "altitude_m": point.altitude_m,
        "time_zone": point.time_zone,
        "sampling_minutes": point.sampling_minutes,
        "mapping": _json(point.mapping),
        "max_rows": point.max_rows,
        "rules": _json(point.rules),
        "source": _json(point.source),
    }


def _variable_row(point: str, position: int, variable: Variable) -> dict[str, Any]:
    return {
        "point": point,
        "code": variable.code,
        "position": position,
        "type": variable.type.value,
        "name": variable.name,
        "search_text": search_text(variable.code, variable.name, point),
        "body": _json(variable),
    }


def _provider_row(provider: Provider) -> dict[str, Any]:
    return {
        "code": provider.code,
        "client": provider.client,
        "name": provider.name,
        "type": provider.type.value,
        "api": provider.api,
        "connection": _json(provider.connection),
        "authentication": _json(provider.authentication),
        "mapping": _json(provider.mapping),
        "time_zone": provider.time_zone,
        "active": provider.active,
        "testing": provider.testing,
    }


def _change_of(row: Mapping[str, Any]) -> Change:
    before, after = (msgspec.json.decode(row[name]) if row[name] else None for name in ("before", "after"))
    fields = {name: row[name] for name in ("at", "who", "action", "kind", "point", "key")}
    return Change(**fields, before=before, after=after)


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _page(items: list[T], total: int, listing: Listing) -> Page[T]:
    return Page(items=items, total=total, page=listing.page, page_size=listing.page_size)
