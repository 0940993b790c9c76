"""The record of polling in SQL: cursors, states, and who has a round under way."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import reading, transaction
from caudal.ingest.adapters.patient_catalog import asking_again
from caudal.ingest.adapters.sql_tables import cursors, handed, histories, points, providers, rounds
from caudal.ingest.domain.breaker import Breaker
from caudal.ingest.domain.schedule import EPOCH, PointState
from caudal.ingest.ports import Marks, ProviderState

ROUND = "poll"
"""Key of the one row in `ingest_rounds`."""
_TICK = timedelta(microseconds=1)
_PLAIN = ("provider", "connected_at", "connected_since", "heard_at", "error", "error_at")


class SqlPollingRecord:
    """A `PollingRecord` in ingest's own tables."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def begin(self, holder: str, now: datetime, until: datetime, gap_until: datetime) -> bool:
        """As `PollingRecord`."""
        row = {"name": ROUND, "holder": holder, "begun_at": now, "until": until}
        free = sa.or_(rounds.c.holder.is_(None), rounds.c.until < now)
        # A beginning in the future is a clock that was wrong once; it must not hold us up until then.
        is_past = sa.or_(rounds.c.begun_at <= gap_until, rounds.c.begun_at > now)
        may = sa.or_(rounds.c.holder == holder, sa.and_(free, is_past))
        statement = self._insert(rounds).values(row)
        taken = statement.on_conflict_do_update(index_elements=[rounds.c.name], set_=row, where=may).returning(
            rounds.c.name
        )
        async with self._writing() as connection:
            return (await connection.execute(taken)).first() is not None

    async def end(self, holder: str, *, is_done: bool) -> None:
        """As `PollingRecord`."""
        over: dict[str, Any] = {"holder": None} if is_done else {"holder": None, "begun_at": EPOCH}
        ended = sa.update(rounds).where(rounds.c.name == ROUND, rounds.c.holder == holder).values(over)
        async with self._writing() as connection:
            await connection.execute(ended)

    async def points(self) -> dict[str, PointState]:
        """As `PollingRecord`."""
        async with self._reading() as connection:
            rows = (await connection.execute(sa.select(points))).mappings()
            return {row["point"]: PointState(**row) for row in rows}

    async def providers(self) -> dict[str, ProviderState]:
        """As `PollingRecord`."""
        async with self._reading() as connection:
            rows = (await connection.execute(sa.select(providers))).mappings()
            return {row["provider"]: _provider_state(row) for row in rows}

    async def cursors(self) -> dict[str, dict[str, datetime]]:
        """As `PollingRecord`."""
        found: dict[str, dict[str, datetime]] = {}
        async with self._reading() as connection:
            for point, variable, until, _ in await connection.execute(sa.select(cursors)):
                found.setdefault(point, {})[variable] = until
        return found

    async def histories(self) -> dict[str, dict[str, datetime]]:
        """As `PollingRecord`."""
        found: dict[str, dict[str, datetime]] = {}
        async with self._reading() as connection:
            for point, variable, since in await connection.execute(sa.select(histories)):
                found.setdefault(point, {})[variable] = since
        return found

    async def handed(self, point: str) -> Marks:
        """As `PollingRecord`."""
        query = sa.select(handed.c.variable, handed.c.day, handed.c.marks).where(handed.c.point == point)
        async with self._reading() as connection:
            rows = (await connection.execute(query)).all()
        return {(variable, day): _marks_of(text) for variable, day, text in rows}

    async def move(self, point: str, moved: Mapping[str, datetime], now: datetime, marks: Marks | None = None) -> None:
        """As `PollingRecord`."""
        rows = [
            {"point": point, "variable": variable, "complete_until": until, "moved_at": now}
            for variable, until in sorted(moved.items())
        ]
        statement = self._insert(cursors)
        kept = statement.on_conflict_do_update(
            index_elements=[cursors.c.point, cursors.c.variable],
            set_={name: statement.excluded[name] for name in ("complete_until", "moved_at")},
            # A cursor that lies ahead is a clock that was wrong once: it would hide all that is measured until then.
            where=sa.or_(statement.excluded.complete_until > cursors.c.complete_until, cursors.c.complete_until > now),
        )
        if rows or marks:
            async with self._writing() as connection:
                if rows:
                    await connection.execute(kept, rows)
                await self._remember(connection, point, marks or {})

    async def _remember(self, connection: AsyncConnection, point: str, marks: Marks) -> None:
        key = (handed.c.point, handed.c.variable, handed.c.day)
        kept = [
            {"point": point, "variable": code, "day": day, "marks": _text_of(known)}
            for (code, day), known in sorted(marks.items())
            if known
        ]
        if kept:
            await self._put(connection, handed, key, kept)
        for code, day in [each for each, known in marks.items() if not known]:
            old = (handed.c.point == point, handed.c.variable == code, handed.c.day == day)
            await connection.execute(sa.delete(handed).where(*old))

    async def reach(self, point: str, since: Mapping[str, datetime]) -> None:
        """As `PollingRecord`."""
        rows = [{"point": point, "variable": code, "complete_from": at} for code, at in sorted(since.items())]
        if rows:
            async with self._writing() as connection:
                await self._put(connection, histories, (histories.c.point, histories.c.variable), rows)

    async def asked(self, states: Sequence[PointState], provider: ProviderState) -> None:
        """As `PollingRecord`."""
        rows = [msgspec.structs.asdict(state) for state in sorted(states, key=lambda state: state.point)]
        async with self._writing() as connection:
            if rows:
                await self._put(connection, points, (points.c.point,), rows)
            await self._put(connection, providers, (providers.c.provider,), [_provider_row(provider)])

    async def tidy(self, asked: Sequence[str], known: Sequence[str]) -> None:
        """As `PollingRecord`."""
        async with self._writing() as connection:
            for table, kept in ((points, asked), (cursors, known), (histories, known), (handed, known)):
                there = set((await connection.execute(sa.select(table.c.point).distinct())).scalars())
                if gone := sorted(there - set(kept)):
                    await connection.execute(
                        sa.delete(table).where(table.c.point == sa.bindparam("gone")),
                        [{"gone": point} for point in gone],
                    )

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        with asking_again():
            async with transaction(self._engine) as connection:
                yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        with asking_again():
            async with reading(self._engine) as connection:
                yield connection

    async def _put(
        self, connection: AsyncConnection, table: sa.Table, key: tuple[sa.Column[Any], ...], rows: list[dict[str, Any]]
    ) -> None:
        """Insert rows, or put them in the place of those of the same key."""
        statement = self._insert(table)
        names = {column.name for column in key}
        others = {column.name: statement.excluded[column.name] for column in table.c if column.name not in names}
        await connection.execute(statement.on_conflict_do_update(index_elements=[*key], set_=others), rows)


def _provider_state(row: Mapping[Any, Any]) -> ProviderState:
    breaker = Breaker(row["failures"], row["pauses"], row["open_until"])
    plain = {name: row[name] for name in _PLAIN}
    return ProviderState(**plain, breaker=breaker)


def _provider_row(state: ProviderState) -> dict[str, Any]:
    plain = {name: getattr(state, name) for name in _PLAIN}
    return plain | msgspec.structs.asdict(state.breaker)


def _text_of(marks: Mapping[datetime, int]) -> bytes:
    return msgspec.msgpack.encode({(at - EPOCH) // _TICK: mark for at, mark in marks.items()})


def _marks_of(text: bytes) -> dict[datetime, int]:
    return {EPOCH + at * _TICK: mark for at, mark in msgspec.msgpack.decode(text, type=dict[int, int]).items()}
