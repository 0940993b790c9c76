"""The processor's ledger, read through the views that it publishes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import UtcDateTime, reading
from caudal.common.adapters.sql_reads import Row, ask, ask_one, ask_value
from caudal.common.domain.readings import RawStatus
from caudal.gateway_api.adapters.ledger_views import (
    ledger_flags,
    ledger_raw,
    ledger_readings,
    ledger_rejected,
    window_rows,
)
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.sql_stretches import SqlStretches, among_devices, named_devices
from caudal.gateway_api.adapters.tables import points
from caudal.gateway_api.domain.cursors import Cursor
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.telemetry import (
    RawEntry,
    RawOrder,
    RawQuery,
    RejectedEntry,
    RejectedQuery,
    Summary,
    Unclaimed,
    WindowRow,
)

ROWS_AT_ONCE = 1000
"""Of a list that is read whole."""
MAX_DEVICES = 20
"""Up to how many devices of a point its statements are kept."""
_NO_NAME: sa.ColumnElement[str] = sa.literal("")
_NO_TIME: sa.ColumnElement[Any] = sa.cast(sa.null(), UtcDateTime)


class SqlLedger:
    """Raw and processed readings, what was rejected, and the rows of batch windows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def raw(self, scope: Scope, query: RawQuery, after: Cursor | None, limit: int) -> list[RawEntry]:
        wanted = {field.name: getattr(query, field.name) for field in _RAW_FIELDS}
        # Ids begin with the receipt, and their index serves this order.
        time = "measured_at" if query.order is RawOrder.MEASURED else None
        rows = await _RAW.newest(self._engine, scope, wanted, time, after, limit)
        return [_raw_entry(row) for row in rows]

    async def rejected(
        self, scope: Scope, query: RejectedQuery, after: Cursor | None, limit: int
    ) -> list[RejectedEntry]:
        rows = await _REJECTED.newest(self._engine, scope, asdict(query), "received_at", after, limit)
        return [RejectedEntry(**row) for row in rows]

    async def rejected_one(self, entry: str, scope: Scope) -> RejectedEntry | None:
        query = sa.select(ledger_rejected).where(ledger_rejected.c.id == entry, SCOPES["rejected"](scope))
        row = await ask_one(self._engine, query)
        return RejectedEntry(**row) if row else None

    async def unclaimed(self, scope: Scope, listing: Listing) -> Page[Unclaimed]:
        view = ledger_raw.c
        heard = (
            sa.select(
                view.device,
                sa.func.count().label("readings"),
                sa.func.min(view.measured_at).label("first_measured_at"),
                sa.func.max(view.measured_at).label("last_measured_at"),
                sa.func.max(view.received_at).label("last_received_at"),
            )
            .where(SCOPES["unclaimed"](scope), view.status == RawStatus.PENDING.value)
            .where(view.device.not_in(sa.select(points.c.device)))
            .group_by(view.device)
        )
        if listing.search:
            heard = heard.where(view.device.icontains(listing.search, autoescape=True))
        total = int(await ask_value(self._engine, sa.select(sa.func.count()).select_from(heard.subquery())))
        wanted: list[sa.ColumnElement[Any]] = [
            sa.desc(name[1:]) if name.startswith("-") else sa.asc(name)
            for name in listing.order or ("-last_received_at",)
        ]
        page = heard.order_by(*wanted, view.device).limit(listing.page_size).offset(min(listing.offset, total))
        items = [Unclaimed(**row) for row in await ask(self._engine, page)]
        return Page(items=items, total=total, page=listing.page, page_size=listing.page_size)

    async def summary(self, point: str, devices: Sequence[str]) -> Summary:
        counts: dict[str, dict[str, int]] = {"raw": {}, "flag": {}}
        spans = {}
        for row in await ask(self._engine, _counts(len(devices)), {"point": point, **named_devices(devices)}):
            counts.setdefault(row["kind"], {})[row["name"]] = row["count"]
            spans[row["kind"]] = row["first"], row["last"]
        first, last = spans["reading"]
        return Summary(
            point=point,
            device=devices[-1],
            readings=counts["reading"][""],
            first_measured_at=first,
            last_measured_at=last,
            raw=counts["raw"],
            duplicates=counts["raw"].get(RawStatus.SKIPPED.value, 0),
            late=counts["late"][""],
            flags=counts["flag"],
            rejected=counts["rejected"][""],
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
        for row in await ask(self._engine, query):
            found.setdefault(row["measured_at"], {}).setdefault(row["variable"], []).append(row["flag"])
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
        return int(await ask_value(self._engine, query))

    async def written_count(self) -> int:
        return int(await ask_value(self._engine, _WRITTEN))


_RAW = SqlStretches(ledger_raw, "raw", "measured_at")
_RAW_FIELDS = tuple(field for field in fields(RawQuery) if field.name != "order")
_REJECTED = SqlStretches(ledger_rejected, "rejected", "received_at")

_point = sa.bindparam("point", type_=sa.String)


def _late(of_point: sa.ColumnElement[bool]) -> sa.Subquery:
    """Instants that were first heard of after something measured later; repetitions don't make one late."""
    view = ledger_raw.c
    first_heard = sa.func.min(view.received_at).label("first_heard")
    instants = sa.select(view.measured_at, first_heard).where(of_point)
    heard = instants.group_by(view.device, view.measured_at).subquery()
    newest_before = sa.func.max(heard.c.measured_at).over(order_by=heard.c.first_heard, groups=(None, -1))
    compared = sa.select(heard.c.measured_at, newest_before.label("newest_before")).subquery()
    return sa.select(compared.c.measured_at).where(compared.c.measured_at < compared.c.newest_before).subquery()


def _counted(
    kind: str, name: sa.ColumnElement[str], time: sa.ColumnElement[Any] = _NO_TIME
) -> sa.Select[*tuple[Any, ...]]:
    """Rows by name, as one kind of what a summary counts; the first and the last by `time`."""
    first, last = sa.func.min(time).label("first"), sa.func.max(time).label("last")
    return sa.select(sa.literal(kind).label("kind"), name.label("name"), sa.func.count().label("count"), first, last)


@lru_cache(MAX_DEVICES)
def _counts(devices: int) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """All that a summary counts, of a point that has had so many devices."""
    # By device, since that is what raw readings are filed under.
    of_point = sa.and_(among_devices(ledger_raw.c.device, devices), ledger_raw.c.point == _point)
    readings, flags, rejected = ledger_readings.c, ledger_flags.c, ledger_rejected.c
    return sa.union_all(
        _counted("reading", _NO_NAME, readings.measured_at).where(readings.point == _point),
        _counted("raw", ledger_raw.c.status).where(of_point).group_by(ledger_raw.c.status),
        _counted("flag", flags.flag).where(flags.point == _point).group_by(flags.flag),
        _counted("late", _NO_NAME).select_from(_late(of_point)),
        _counted("rejected", _NO_NAME).select_from(ledger_rejected).where(among_devices(rejected.device, devices)),
    ).order_by("kind", "name")


_claimed = sa.exists().where(points.c.device == window_rows.c.unit)
_made = sa.exists().where(
    ledger_readings.c.device == window_rows.c.unit, ledger_readings.c.measured_at == window_rows.c.measured_at
)
"""Of a unit that some point claimed once; that reading is counted where it is."""
_WRITTEN = sa.select(
    sa.select(sa.func.count()).select_from(ledger_readings).scalar_subquery()
    + sa.select(sa.func.count()).select_from(window_rows).where(~_claimed, ~_made).scalar_subquery()
)


def _window_row(row: Mapping[Any, Any]) -> WindowRow:
    processed = row["processed_json"]
    return WindowRow(
        measured_at=row["measured_at"],
        unit=row["unit"],
        source_format=row["source_format"] or "",
        given=msgspec.json.decode(row["row_json"]),
        processed=msgspec.json.decode(processed) if processed is not None else None,
    )


def _raw_entry(row: Row) -> RawEntry:
    fields = {name: value for name, value in row.items() if name != "values_json"}
    return RawEntry(**fields, values=msgspec.json.decode(row["values_json"]))
