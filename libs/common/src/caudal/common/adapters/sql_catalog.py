"""The catalog as other services read it: gateway-api's views, and a bounded memory of what they said.

The views are the contract: `catalog_points` (a column per field of `Point`; `mapping`, `rules`, `source` and `earlier`
as JSON text), `catalog_variables` (`point`, `code`, `position`, `body` as JSON text of a `Variable`) and
`catalog_providers` (a column per field of `Provider`; `connection`, `authentication` and `mapping` as JSON text).
`catalog_point_versions` has `earlier` line by line (`point`, `valid_until`, `body` as JSON text of a `Version`).
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import reading
from caudal.common.domain.catalog import Point, PointSource, Provider, Rules, Variable, Version
from caudal.common.domain.errors import Permanent
from caudal.common.ports import Catalog

Row = Mapping[str, Any]

_PLAIN = (
    "code",
    "device",
    "client",
    "provider",
    "type",
    "status",
    "name",
    "latitude",
    "longitude",
    "altitude_m",
    "time_zone",
    "sampling_minutes",
    "max_rows",
)
_JSON = ("mapping", "rules", "source")
_points = sa.table("catalog_points", *(sa.column(name) for name in (*_PLAIN, *_JSON, "earlier")))
_variables = sa.table("catalog_variables", *(sa.column(name) for name in ("point", "code", "position", "body")))
_PROVIDER_PLAIN = ("code", "client", "name", "type", "api", "time_zone", "active", "testing")
_PROVIDER_JSON = ("connection", "authentication", "mapping")
_providers = sa.table("catalog_providers", *(sa.column(name) for name in (*_PROVIDER_PLAIN, *_PROVIDER_JSON)))


class SqlCatalog:
    """The catalog, asked anew each time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def point_of(self, device: str) -> Point | None:
        return await self._point_where(_points.c.device == device)

    async def point(self, code: str) -> Point | None:
        return await self._point_where(_points.c.code == code)

    async def provider(self, code: str) -> Provider | None:
        rows = await self._rows(sa.select(_providers).where(_providers.c.code == code))
        return provider_of(rows[0]) if rows else None

    async def providers(self) -> list[Provider]:
        """All providers, in order of code."""
        return [provider_of(row) for row in await self._rows(sa.select(_providers).order_by(_providers.c.code))]

    async def sourced(self) -> list[Point]:
        """Points whose provider is to be asked, in order of code, as they are now, without their variables."""
        rows = await self._rows(
            sa.select(*(_points.c[name] for name in (*_PLAIN, *_JSON)))
            .where(_points.c.source.is_not(None), _points.c.provider.is_not(None))
            .order_by(_points.c.code)
        )
        return [point_of(row, []) for row in rows]

    async def codes(self) -> list[str]:
        """Of all points, in order."""
        return [row["code"] for row in await self._rows(sa.select(_points.c.code).order_by(_points.c.code))]

    async def _point_where(self, condition: sa.ColumnElement[bool]) -> Point | None:
        query = (
            sa.select(_points, _variables.c.body)
            .select_from(_points.outerjoin(_variables, _variables.c.point == _points.c.code))
            .where(condition)
            .order_by(_variables.c.position, _variables.c.code)
        )
        rows = await self._rows(query)
        return point_of(rows[0], [row["body"] for row in rows if row["body"] is not None]) if rows else None

    async def _rows(self, query: sa.Select[Any]) -> Sequence[Row]:
        async with reading(self._engine) as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


def point_of(row: Row, variables: Sequence[str]) -> Point:
    """A row of `catalog_points` and the bodies of its variables, as a point.

    Raises:
        Permanent: what is stored is no point; the error names it.
    """
    try:
        fields = {name: row[name] for name in _PLAIN} | {
            "mapping": msgspec.json.decode(row["mapping"]) if row["mapping"] else None,
            "rules": msgspec.json.decode(row["rules"], type=Rules),
            "source": msgspec.json.decode(row["source"], type=PointSource) if row["source"] else None,
            "variables": tuple(msgspec.json.decode(body, type=Variable) for body in variables),
            "earlier": _versions_of(row.get("earlier")),
        }
        return msgspec.convert(fields, Point, strict=False)
    except msgspec.MsgspecError as error:
        raise Permanent(f"point {row['code']!r} cannot be read from the catalog: {error}") from error


def _versions_of(text: str | None) -> tuple[Version, ...]:
    """Earlier versions from their JSON, oldest first; None: there are none, or nobody asked for them."""
    found = msgspec.json.decode(text, type=list[Version]) if text else []
    return tuple(sorted(found, key=lambda version: version.valid_until))


def provider_of(row: Row) -> Provider:
    """A row of `catalog_providers` as a provider.

    Raises:
        Permanent: what is stored is no provider; the error names it.
    """
    try:
        fields = {name: row[name] for name in _PROVIDER_PLAIN}
        fields |= {name: msgspec.json.decode(row[name]) for name in _PROVIDER_JSON}
        fields |= {name: bool(row[name]) for name in ("active", "testing")}
        return msgspec.convert(fields, Provider)
    except msgspec.MsgspecError as error:
        raise Permanent(f"provider {row['code']!r} cannot be read from the catalog: {error}") from error


class CachedCatalog:
    """Another catalog, remembered: points until `forget` names their device, providers for `provider_age_s`.

    That nobody claims a device is remembered too. An answer that was under way while something was forgotten is
    given to its caller and not kept, since it may be older than the change.
    """

    def __init__(
        self,
        inner: Catalog,
        max_entries: int = 10_000,
        provider_age_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._max_entries = max_entries
        self._provider_age_s = provider_age_s
        self._monotonic = monotonic
        self._devices: OrderedDict[str, Point | None] = OrderedDict()
        self._codes: OrderedDict[str, Point | None] = OrderedDict()
        self._providers: OrderedDict[str, tuple[float, Provider | None]] = OrderedDict()
        self._epoch = 0

    async def point_of(self, device: str) -> Point | None:
        return await self._remembered(self._devices, device, self._inner.point_of)

    async def point(self, code: str) -> Point | None:
        return await self._remembered(self._codes, code, self._inner.point)

    async def provider(self, code: str) -> Provider | None:
        known = self._providers.get(code)
        if known and self._monotonic() - known[0] < self._provider_age_s:
            return known[1]
        asked_at = self._monotonic()
        provider = await self._inner.provider(code)
        self._keep(self._providers, code, (asked_at, provider))
        return provider

    def forget(self, device: str) -> None:
        """Ask anew for this device, for its point, and for points that were not there, from now on."""
        self._epoch += 1
        self._devices.pop(device, None)
        for code in [code for code, point in self._codes.items() if point is None or point.device == device]:
            del self._codes[code]

    async def _remembered(
        self,
        entries: OrderedDict[str, Point | None],
        key: str,
        ask: Callable[[str], Awaitable[Point | None]],
    ) -> Point | None:
        if key in entries:
            entries.move_to_end(key)
            return entries[key]
        epoch = self._epoch
        point = await ask(key)
        if epoch == self._epoch:
            self._keep(entries, key, point)
        return point

    def _keep(self, entries: OrderedDict[str, Any], key: str, value: object) -> None:
        entries[key] = value
        entries.move_to_end(key)
        while len(entries) > self._max_entries:
            entries.popitem(last=False)
