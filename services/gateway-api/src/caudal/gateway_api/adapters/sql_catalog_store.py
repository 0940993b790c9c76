"""The catalog in SQL: points, variables and providers as they are asked for."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql_catalog import SqlCatalog, provider_of
from caudal.common.adapters.sql_reads import Row, ask, ask_one, ask_value
from caudal.common.domain.catalog import Point, PointStatus, Provider, Variable
from caudal.gateway_api.adapters.ledger_views import ledger_readings
from caudal.gateway_api.adapters.sql_audit import audited
from caudal.gateway_api.adapters.sql_catalog_edit import SqlCatalogEdit
from caudal.gateway_api.adapters.sql_catalog_rows import BODIES, ONE_POINT, ONE_PROVIDER, kept, sees_provider, whole
from caudal.gateway_api.adapters.sql_listing import SqlList
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.sql_silences import HAS_SILENCES, STALE, STATUS, silences_among
from caudal.gateway_api.adapters.tables import audit_log, clients, points, providers, variables
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import JOURNAL, POINTS, PROVIDERS, VARIABLES
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.silence import Standing
from caudal.gateway_api.domain.versions import Kept
from caudal.gateway_api.ports import CatalogEdit, Change

T = TypeVar("T")


class SqlCatalogStore:
    """Points, variables and providers; each change with its journal line and its message in one transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def edit(self, scope: Scope) -> AsyncIterator[CatalogEdit]:
        async with audited(self._engine) as (connection, audit):
            yield SqlCatalogEdit(connection, audit, scope)

    async def point(self, code: str, scope: Scope) -> Point | None:
        row = await ask_one(self._engine, ONE_POINT, {"wanted": code})
        return whole(row) if row and scope.sees(row["client"]) else None

    async def codes(self, scope: Scope, limit: int) -> list[str]:
        query = sa.select(points.c.code).where(SCOPES["point"](scope)).order_by(points.c.code).limit(limit)
        return [row["code"] for row in await ask(self._engine, query)]

    async def standing(self, code: str, scope: Scope) -> Standing | None:
        row = await ask_one(self._engine, _one_standing, {"wanted": code})
        if row is None or not scope.sees(row["client"]):
            return None
        silences = await silences_among(self._engine, [code]) if row["has_silences"] else {}
        return Standing(kept(whole(row), row), silences.get(code, ()))

    async def history(self, code: str, scope: Scope) -> Point | None:
        # In one statement, by the view that other services read.
        point = await SqlCatalog(self._engine).point(code)
        return point if point is not None and scope.sees(point.client) else None

    async def is_measured(self, point: str) -> bool:
        query = sa.select(ledger_readings.c.point).where(ledger_readings.c.point == point).limit(1)
        return await ask_one(self._engine, query) is not None

    async def readings_between(self, point: str, start: datetime | None, end: datetime | None) -> int:
        view = ledger_readings.c
        wanted = [view.point == point]
        wanted += [view.measured_at >= start] if start is not None else []
        wanted += [view.measured_at < end] if end is not None else []
        return int(
            await ask_value(self._engine, sa.select(sa.func.count()).select_from(ledger_readings).where(*wanted))
        )

    async def provider(self, code: str, scope: Scope) -> Provider | None:
        found = await self.kept_provider(code, scope)
        return found.entry if found is not None else None

    async def kept_provider(self, code: str, scope: Scope) -> Kept[Provider] | None:
        row = await ask_one(self._engine, ONE_PROVIDER, {"wanted": code})
        return kept(provider_of(row), row) if row and sees_provider(scope, row["client"]) else None

    async def takes_pushes(self, provider: str) -> bool:
        return await ask_one(self._engine, _open_provider, {"wanted": provider}) is not None

    async def client_of_device(self, device: str) -> tuple[str | None] | None:
        row = await ask_one(self._engine, sa.select(points.c.client).where(points.c.device == device))
        return (row["client"],) if row else None

    async def points(self, scope: Scope, listing: Listing) -> Page[Standing]:
        rows, total = await _POINTS.page(self._engine, scope, listing)
        quiet = [row["code"] for row in rows if row["stale"] or row["status"] == PointStatus.OFFLINE]
        silences = await silences_among(self._engine, quiet) if quiet else {}
        found = [kept(whole(row), row) for row in rows]
        return _page([Standing(each, silences.get(each.entry.code, ())) for each in found], total, listing)

    async def variable(self, point: str, code: str, scope: Scope) -> Kept[Variable] | None:
        this = sa.and_(variables.c.point == point, variables.c.code == code)
        row = await ask_one(self._engine, sa.select(variables).where(this, SCOPES["variable"](scope)))
        return kept(_variable_of(row), row) if row else None

    async def variables(self, scope: Scope, listing: Listing) -> Page[tuple[str, Kept[Variable]]]:
        rows, total = await _VARIABLES.page(self._engine, scope, listing)
        found = [(row["point"], kept(_variable_of(row), row)) for row in rows]
        return _page(found, total, listing)

    async def providers(self, scope: Scope, listing: Listing) -> Page[Kept[Provider]]:
        rows, total = await _PROVIDERS.page(self._engine, scope, listing)
        return _page([kept(provider_of(row), row) for row in rows], total, listing)

    async def devices_of(self, point: str) -> list[str]:
        told = [msgspec.json.decode(row["after"], type=_Told) for row in await ask(self._engine, _told, {"of": point})]
        return list(dict.fromkeys(after.device for after in told if after.device is not None))[::-1]

    async def changes(self, point: str, scope: Scope, listing: Listing) -> Page[Change]:
        # In the order in which it was written: several lines may be of one instant.
        numbered = replace(listing, order=("number",) if listing.order[:1] == ("at",) else ("-number",))
        rows, total = await _JOURNAL.page(self._engine, scope, numbered, of_point=point)
        return _page([_change_of(row) for row in rows], total, listing)


_POINTS = SqlList(
    lambda scope: sa.select(*(each for each in points.c if each is not points.c.status), STATUS, STALE, BODIES).where(
        SCOPES["point"](scope)
    ),
    POINTS,
)
_VARIABLES = SqlList(lambda scope: sa.select(variables).where(SCOPES["variable"](scope)), VARIABLES)
_PROVIDERS = SqlList(lambda scope: sa.select(providers).where(SCOPES["provider"](scope)), PROVIDERS)
_JOURNAL = SqlList(
    lambda scope: sa.select(audit_log).where(audit_log.c.point == sa.bindparam("of_point"), SCOPES["act"](scope)),
    JOURNAL,
)
_one_standing = ONE_POINT.add_columns(HAS_SILENCES)
_told = (
    sa.select(audit_log.c.after)
    .where(audit_log.c.point == sa.bindparam("of"), audit_log.c.kind == "point", audit_log.c.after.is_not(None))
    .order_by(audit_log.c.number.desc())
)
_open_provider = (
    sa.select(providers.c.code)
    .select_from(providers.outerjoin(clients, clients.c.code == providers.c.client))
    .where(providers.c.code == sa.bindparam("wanted"), providers.c.active)
    .where(sa.or_(clients.c.code.is_(None), clients.c.active))
)


class _Told(msgspec.Struct):
    """What the audit log has of a point."""

    device: str | None = None
    """None in a line about its secrets, which tells their names and nothing of the point."""


def _variable_of(row: Row) -> Variable:
    return msgspec.json.decode(row["body"], type=Variable)


def _change_of(row: Mapping[str, Any]) -> Change:
    before, after = (msgspec.json.decode(row[name]) if row[name] else None for name in ("before", "after"))
    fields = {name: row[name] for name in ("at", "who", "action", "kind", "point", "key")}
    return Change(**fields, before=before, after=after)


def _page(items: list[T], total: int, listing: Listing) -> Page[T]:
    return Page(items=items, total=total, page=listing.page, page_size=listing.page_size)
