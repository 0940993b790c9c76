"""The processor's ledger, read through the views that it publishes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import reading
from caudal.common.domain.readings import RawStatus
from caudal.gateway_api.adapters.tables import (
    ledger_flags,
    ledger_raw,
    ledger_readings,
    ledger_rejected,
    points,
    window_rows,
)
from caudal.gateway_api.domain.cursors import Cursor
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.telemetry import (
    RawEntry,
    RawQuery,
    RejectedEntry,
    RejectedQuery,
    Summary,
    Unclaimed,
    WindowRow,
)

ROWS_AT_ONCE = 1000
"""Of a list that is read whole."""


class SqlLedger:
    """Raw and processed readings, what was rejected, and the rows of batch windows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def raw(self, query: RawQuery, after: Cursor | None, limit: int) -> list[RawEntry]:
        view, time = ledger_raw.c, ledger_raw.c[query.order.value]
        wanted = [
            view.point == query.point if query.point is not None else None,
            view.device.in_(query.devices) if query.devices is not None else None,
            view.inlet == query.inlet.value if query.inlet is not None else None,
            view.status == query.status.value if query.status is not None else None,
            *_between(view.measured_at, query.start, query.end),
        ]
        rows = await self._page(ledger_raw, wanted, time, after, limit)
        return [_raw_entry(row) for row in rows]

    async def rejected(self, query: RejectedQuery, after: Cursor | None, limit: int) -> list[RejectedEntry]:
        view = ledger_rejected.c
        wanted = [
            view.device == query.device if query.device is not None else None,
            view.inlet == query.inlet.value if query.inlet is not None else None,
            view.provider == query.provider if query.provider is not None else None,
            view.replayed_at.is_not(None) == query.replayed if query.replayed is not None else None,
            *_between(view.received_at, query.start, query.end),
        ]
        rows = await self._page(ledger_rejected, wanted, view.received_at, after, limit)
        return [RejectedEntry(**row) for row in rows]

    async def rejected_one(self, entry: str) -> RejectedEntry | None:
        rows = await self._rows(sa.select(ledger_rejected).where(ledger_rejected.c.id == entry))
        return RejectedEntry(**rows[0]) if rows else None

    async def unclaimed(self, listing: Listing) -> Page[Unclaimed]:
        view = ledger_raw.c
        heard = (
            sa.select(
                view.device,
                sa.func.count().label("readings"),
                sa.func.min(view.measured_at).label("first_measured_at"),
                sa.func.max(view.measured_at).label("last_measured_at"),
                sa.func.max(view.received_at).label("last_received_at"),
            )
            .where(view.status == RawStatus.PENDING.value, view.device.not_in(sa.select(points.c.device)))
            .group_by(view.device)
        )
        if listing.search:
            heard = heard.where(view.device.icontains(listing.search, autoescape=True))
        async with reading(self._engine) as connection:
            count = sa.select(sa.func.count()).select_from(heard.subquery())
            total = int((await connection.execute(count)).scalar_one())
            wanted: list[sa.ColumnElement[Any]] = [
                sa.desc(name[1:]) if name.startswith("-") else sa.asc(name)
                for name in listing.order or ("-last_received_at",)
            ]
            ordered = heard.order_by(*wanted, view.device)
            page = await connection.execute(ordered.limit(listing.page_size).offset(min(listing.offset, total)))
            items = [Unclaimed(**row) for row in page.mappings()]
        return Page(items=items, total=total, page=listing.page, page_size=listing.page_size)

    async def summary(self, point: str, devices: Sequence[str]) -> Summary:
        async with reading(self._engine) as connection:
            statuses = await _raw_by_status(connection, point, devices)
            count, first, last = (await connection.execute(_reading_span(point))).one()
            return Summary(
                point=point,
                device=devices[-1],
                readings=count,
                raw=statuses,
                duplicates=statuses.get(RawStatus.SKIPPED.value, 0),
                late=int((await connection.execute(_late(point, devices))).scalar_one()),
                flags=await _flag_counts(connection, point),
                rejected=int((await connection.execute(_rejected_count(devices))).scalar_one()),
                first_measured_at=first,
                last_measured_at=last,
            )

    async def flags(
        self, point: str, variables: Sequence[str], start: datetime, end: datetime
    ) -> Mapping[datetime, dict[str, list[str]]]:
        view = ledger_flags.c
        query = (
            sa.select(view.measured_at, view.variable, view.flag)
            .where(view.point == point, view.variable.in_(variables))
            .where(view.measured_at >= start, view.measured_at <= end)
        )
        found: dict[datetime, dict[str, list[str]]] = {}
        async with reading(self._engine) as connection:
            for at, variable, flag in await connection.execute(query):
                found.setdefault(at, {}).setdefault(variable, []).append(flag)
        return found

    async def window_fields(self) -> list[str]:
        names: set[str] = set()
        async for rows in self.window_rows():
            for row in rows:
                names.update(row.cells())
        return sorted(names)

    async def window_rows(self) -> AsyncIterator[Sequence[WindowRow]]:
        given, made = window_rows.c, ledger_readings.c
        claimed = window_rows.outerjoin(points, points.c.device == given.unit).outerjoin(
            ledger_readings, sa.and_(made.point == points.c.code, made.measured_at == given.measured_at)
        )
        query = (
            sa.select(given.measured_at, given.unit, given.source_format, given.row_json, made.processed_json)
            .select_from(claimed)
            .order_by(given.measured_at, given.unit)
        )
        async with reading(self._engine) as connection:
            rows = await connection.stream(query)
            async for some in rows.mappings().partitions(ROWS_AT_ONCE):
                yield [_window_row(row) for row in some]

    async def window_reading_count(self, window: str) -> int:
        query = sa.select(sa.func.count()).select_from(window_rows).where(window_rows.c.window_id == window)
        async with reading(self._engine) as connection:
            return int((await connection.execute(query)).scalar_one())

    async def reading_count(self) -> int:
        async with reading(self._engine) as connection:
            return int((await connection.execute(sa.select(sa.func.count()).select_from(ledger_readings))).scalar_one())

    async def _page(
        self,
        view: sa.TableClause,
        wanted: Sequence[sa.ColumnElement[bool] | None],
        time: sa.ColumnClause[datetime],
        after: Cursor | None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """The next `limit` rows, newest first by `time`, of those that meet every condition given."""
        query = sa.select(view).where(*(condition for condition in wanted if condition is not None))
        if after is not None:
            query = query.where(sa.or_(time < after.at, sa.and_(time == after.at, view.c.id < after.id)))
        return await self._rows(query.order_by(time.desc(), view.c.id.desc()).limit(limit))

    async def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        async with reading(self._engine) as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


def _between(
    time: sa.ColumnClause[datetime], start: datetime | None, end: datetime | None
) -> list[sa.ColumnElement[bool] | None]:
    return [time >= start if start is not None else None, time < end if end is not None else None]


def _of_point(point: str, devices: Sequence[str]) -> sa.ColumnElement[bool]:
    """Raw readings of a point; by its devices, since that is what they are filed under."""
    return sa.and_(ledger_raw.c.device.in_(devices), ledger_raw.c.point == point)


async def _raw_by_status(connection: AsyncConnection, point: str, devices: Sequence[str]) -> dict[str, int]:
    query = (
        sa.select(ledger_raw.c.status, sa.func.count())
        .where(_of_point(point, devices))
        .group_by(ledger_raw.c.status)
        .order_by(ledger_raw.c.status)
    )
    return {name: int(count) for name, count in await connection.execute(query)}


def _reading_span(point: str) -> sa.Select[int, datetime | None, datetime | None]:
    at = ledger_readings.c.measured_at
    return sa.select(sa.func.count(), sa.func.min(at), sa.func.max(at)).where(ledger_readings.c.point == point)


def _late(point: str, devices: Sequence[str]) -> sa.Select[int]:
    """How many instants were first heard of after something measured later; repetitions don't make one late."""
    view = ledger_raw.c
    first_heard = sa.func.min(view.received_at).label("first_heard")
    instants = sa.select(view.measured_at, first_heard).where(_of_point(point, devices))
    heard = instants.group_by(view.device, view.measured_at).subquery()
    newest_before = sa.func.max(heard.c.measured_at).over(order_by=heard.c.first_heard, groups=(None, -1))
    compared = sa.select(heard.c.measured_at, newest_before.label("newest_before")).subquery()
    return sa.select(sa.func.count()).select_from(compared).where(compared.c.measured_at < compared.c.newest_before)


async def _flag_counts(connection: AsyncConnection, point: str) -> dict[str, int]:
    view = ledger_flags.c
    query = sa.select(view.flag, sa.func.count()).where(view.point == point).group_by(view.flag).order_by(view.flag)
    return {name: int(count) for name, count in await connection.execute(query)}


def _rejected_count(devices: Sequence[str]) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(ledger_rejected).where(ledger_rejected.c.device.in_(devices))


def _window_row(row: Mapping[Any, Any]) -> WindowRow:
    processed = row["processed_json"]
    return WindowRow(
        measured_at=row["measured_at"],
        unit=row["unit"],
        source_format=row["source_format"] or "",
        given=msgspec.json.decode(row["row_json"]),
        processed=msgspec.json.decode(processed) if processed is not None else None,
    )


def _raw_entry(row: dict[str, Any]) -> RawEntry:
    values = msgspec.json.decode(row.pop("values_json"))
    return RawEntry(**row, values=values)
