"""What is there before an import, asked for what its rows speak of, some hundreds at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql_catalog import point_of
from caudal.common.adapters.sql_reads import Row, ask
from caudal.common.domain.catalog import Point
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.tables import clients, owners, points, providers, users, variables
from caudal.gateway_api.domain.imports import Ground
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.records import OWNERS, USERS
from caudal.gateway_api.domain.tenancy import Owner, normal_email
from caudal.gateway_api.ports.imports import Subjects

AT_ONCE = 500
"""Names of one question."""


class SqlGrounds:
    """Reads the tables of the catalog and of who owns what."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def around(self, scope: Scope, subjects: Subjects) -> Ground:
        found = await self._where_in(sa.select(points), points.c.code, subjects.points)
        seen = {row["code"]: row for row in found if scope.sees(row["client"])}
        claimed = await self._where_in(sa.select(points.c.device, points.c.code), points.c.device, subjects.devices)
        taken = {row["device"]: row["code"] for row in (*found, *claimed)}
        return Ground(
            points=await self._points(seen.values()),
            foreign={row["code"] for row in found} - seen.keys(),
            devices=taken,
            clients={row["code"] for row in await ask(self._engine, sa.select(clients.c.code))},
            providers=await self._providers(),
            users=await self._users(scope, [normal_email(address) for address in subjects.users]),
            owners=await self._owners(scope, subjects.points) if subjects.users else {},
        )

    async def _points(self, rows: Iterable[Row]) -> dict[str, Point]:
        there = {str(row["code"]): row for row in rows}
        bodies: dict[str, list[str]] = {}
        query = sa.select(variables.c.point, variables.c.body).order_by(variables.c.position, variables.c.code)
        for row in await self._where_in(query, variables.c.point, [*there]):
            bodies.setdefault(row["point"], []).append(row["body"])
        return {code: point_of(row, bodies.get(code, [])) for code, row in there.items()}

    async def _providers(self) -> dict[str, str | None]:
        rows = await ask(self._engine, sa.select(providers.c.code, providers.c.client))
        return {row["code"]: row["client"] for row in rows}

    async def _users(self, scope: Scope, names: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        query = sa.select(users.c.email, users.c.id, users.c.client).where(SCOPES[USERS.name](scope))
        columns = (users.c.email, users.c.id)
        return {
            row[column.name]: (row["id"], row["client"])
            for column in columns
            for row in await self._where_in(query, column, names)
        }

    async def _owners(self, scope: Scope, codes: Sequence[str]) -> dict[str, Owner]:
        query = sa.select(owners).where(SCOPES[OWNERS.name](scope))
        rows = await self._where_in(query, owners.c.point, codes)
        plain = [{field.name: row[field.name] for field in fields(Owner)} for row in rows]
        agreed = [each | {"permissions": msgspec.json.decode(each["permissions"])} for each in plain]
        return {each["id"]: msgspec.convert(each, Owner, strict=False) for each in agreed}

    async def _where_in(
        self, query: sa.Select[tuple[object, ...]], column: sa.Column[str], names: Sequence[str]
    ) -> list[Row]:
        found: list[Row] = []
        for some in _parts(dict.fromkeys(names)):
            found += await ask(self._engine, query.where(column.in_(some)))
        return found


def _parts(names: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(names)
    while some := [*islice(remaining, AT_ONCE)]:
        yield some
