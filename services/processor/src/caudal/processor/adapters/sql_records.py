"""Records of dynamic schemas in SQL, and the schemas themselves, which gateway-api publishes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import UtcDateTime, reading, transaction
from caudal.common.domain.schemas import GroupBy, Schema
from caudal.processor.adapters.record_tables import PARTS, RECORDS
from caudal.processor.adapters.tables import ROWS
from caudal.processor.domain.records import Instant, Part, Record, Tally
from caudal.processor.ports import RecordUnit

_PLAIN = ("code", "client", "name", "kind", "active", "period", "time_zone", "group_by", "created_at", "updated_at")
_JSON = ("points", "fields", "rules", "display")
_VIEW = "catalog_schemas"
_schemas = sa.table(
    _VIEW,
    *(sa.column(name) for name in (*_PLAIN[:-2], *_JSON)),
    sa.column("created_at", UtcDateTime),
    sa.column("updated_at", UtcDateTime),
)
_LOCK = sa.text("select pg_advisory_xact_lock(hashtext('caudal records'))")


class _Processed(msgspec.Struct):
    """Of a processed value, what records need."""

    value: float | None


_values = msgspec.json.Decoder(dict[str, _Processed])
_tallies = msgspec.json.Decoder(dict[str, Tally])


class SqlSchemas:
    """See `ports.Schemas`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def active(self) -> list[Schema]:
        """Those of which there are records."""
        async with reading(self._engine) as connection:
            # On a new platform the processor may be there before the catalog.
            if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(_VIEW)):
                return []
            query = sa.select(_schemas).where(_schemas.c.active.is_(True)).order_by(_schemas.c.code)
            return [_schema_of(dict(row)) for row in (await connection.execute(query)).mappings()]


class SqlRecordBook:
    """See `ports.RecordBook`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[RecordUnit]:
        """A transaction; SQLite has one writer at a time anyway."""
        async with transaction(self._engine) as connection:
            if self._engine.dialect.name == "postgresql":
                await connection.execute(_LOCK)
            yield _SqlRecordUnit(connection)

    async def schemas(self) -> list[str]:
        """Codes of all schemas of which there are records or parts."""
        query = sa.union(sa.select(PARTS.c.schema), sa.select(RECORDS.c.schema))
        async with reading(self._engine) as connection:
            return sorted((await connection.execute(query)).scalars())

    async def points(self) -> list[str]:
        """Codes of all points of which there are parts."""
        async with reading(self._engine) as connection:
            return sorted((await connection.execute(sa.select(PARTS.c.point).distinct())).scalars())

    async def group_of(self, schema: str, point: str) -> str | None:
        """The group to which the newest part of a point was reckoned."""
        mine = sa.select(PARTS.c.group_key).where(PARTS.c.schema == schema, PARTS.c.point == point)
        async with reading(self._engine) as connection:
            found = await connection.execute(mine.order_by(PARTS.c.starts_at.desc()).limit(1))
            return found.scalar_one_or_none()

    async def forget(self, schema: str, besides: str | None = None) -> None:
        """Forget records of a schema; with all of them its parts."""
        gone = sa.delete(RECORDS).where(RECORDS.c.schema == schema)
        async with transaction(self._engine) as connection:
            if besides is None:
                await connection.execute(sa.delete(PARTS).where(PARTS.c.schema == schema))
            else:
                gone = gone.where(RECORDS.c.definition != besides)
            await connection.execute(gone)


class _SqlRecordUnit:
    """See `ports.RecordUnit`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def instants(self, point: str, start: datetime, end: datetime, limit: int | None = None) -> list[Instant]:
        query = (
            sa.select(ROWS.c.measured_at, ROWS.c.processed_json)
            .where(ROWS.c.point == point, ROWS.c.measured_at >= start, ROWS.c.measured_at < end)
            .order_by(ROWS.c.measured_at)
            .limit(limit)
        )
        return [Instant(at, _numbers(text)) for at, text in await self._connection.execute(query)]

    async def next_instant(self, point: str, start: datetime) -> datetime | None:
        later = sa.select(ROWS.c.measured_at).where(ROWS.c.point == point, ROWS.c.measured_at >= start)
        found = await self._connection.execute(later.order_by(ROWS.c.measured_at).limit(1))
        return found.scalar_one_or_none()

    async def part(self, schema: str, point: str, start: datetime) -> Part | None:
        query = _parts(schema).where(PARTS.c.point == point, PARTS.c.starts_at == start)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return _part_of(row) if row else None

    async def parts(
        self, schema: str, point: str, start: datetime, end: datetime, limit: int | None, *, newest_first: bool = False
    ) -> list[Part]:
        query = _parts(schema).where(PARTS.c.point == point, PARTS.c.starts_at >= start, PARTS.c.starts_at < end)
        order = PARTS.c.starts_at.desc() if newest_first else PARTS.c.starts_at
        found = await self._connection.execute(query.order_by(order).limit(limit))
        return [_part_of(row) for row in found.mappings()]

    async def parts_of_group(self, schema: str, group: str, start: datetime, end: datetime) -> list[Part]:
        query = _parts(schema).where(PARTS.c.group_key == group, PARTS.c.starts_at >= start, PARTS.c.starts_at < end)
        found = await self._connection.execute(query)
        # Sorted here, where the order of letters is everywhere the same.
        return sorted((_part_of(row) for row in found.mappings()), key=lambda part: (part.point, part.starts_at))

    async def put_parts(self, schema: str, point: str, start: datetime, end: datetime, parts: Sequence[Part]) -> None:
        mine = (PARTS.c.schema == schema, PARTS.c.point == point)
        await self._connection.execute(
            sa.delete(PARTS).where(*mine, PARTS.c.starts_at >= start, PARTS.c.starts_at < end)
        )
        if parts:
            await self._connection.execute(sa.insert(PARTS), [_part_row(schema, part) for part in parts])

    async def put_record(self, schema: Schema, record: Record, definition: str, at: datetime) -> None:
        await self.drop_record(schema.code, record.group, record.starts_at)
        row = _record_row(schema, record) | {"definition": definition, "computed_at": at}
        await self._connection.execute(sa.insert(RECORDS).values(row))

    async def drop_record(self, schema: str, group: str, start: datetime) -> None:
        mine = (RECORDS.c.schema == schema, RECORDS.c.group_key == group, RECORDS.c.starts_at == start)
        await self._connection.execute(sa.delete(RECORDS).where(*mine))


def _schema_of(row: Mapping[str, Any]) -> Schema:
    fields = {name: row[name] for name in _PLAIN} | {name: msgspec.json.decode(row[name]) for name in _JSON}
    return msgspec.convert(fields, Schema, strict=False)


def _numbers(processed: str) -> dict[str, float]:
    return {code: held.value for code, held in _values.decode(processed).items() if held.value is not None}


def _parts(schema: str) -> sa.Select[Any]:
    return sa.select(PARTS).where(PARTS.c.schema == schema)


def _part_of(row: Mapping[str, Any]) -> Part:
    return Part(
        point=row["point"],
        group=row["group_key"],
        starts_at=row["starts_at"],
        readings=row["readings"],
        tallies=_tallies.decode(row["tallies_json"]),
    )


def _part_row(schema: str, part: Part) -> dict[str, Any]:
    return {
        "schema": schema,
        "point": part.point,
        "starts_at": part.starts_at,
        "group_key": part.group,
        "readings": part.readings,
        "tallies_json": _text(part.tallies),
    }


def _record_row(schema: Schema, record: Record) -> dict[str, Any]:
    is_of_point = schema.group_by is GroupBy.POINT
    return {
        "schema": schema.code,
        "group_key": record.group,
        "starts_at": record.starts_at,
        "point": record.group if is_of_point else None,
        "client": None if is_of_point else record.group or None,
        "values_json": _text(record.values),
        "flags_json": _text(record.flags),
        "reasons_json": _text(record.reasons),
        "readings": record.readings,
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
