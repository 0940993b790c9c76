"""`SqlLedger`: the ledger in SQLite or PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import HeldConnections, reading, transaction
from caudal.common.domain.readings import RawStatus
from caudal.processor.adapters.outboxes import postgres_outbox, sqlite_outbox
from caudal.processor.adapters.sql_unit import SqlLedgerUnit
from caudal.processor.adapters.statements import PostgresExecute, SqliteExecute
from caudal.processor.adapters.tables import OUTBOX, RAW, ROWS, WINDOW_ROWS
from caudal.processor.ports import Entry, LedgerUnit, Sink

_IN_LEDGER = (RawStatus.COMPLETED, RawStatus.SKIPPED)
PURGED_AT_ONCE = 5000


class SqlLedger:
    """See `ports.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._held = HeldConnections(engine) if engine.dialect.name == "postgresql" else None

    async def aclose(self) -> None:
        """Give back what is held of the database."""
        if self._held:
            await self._held.aclose()

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[LedgerUnit]:
        """A transaction; commits at the end, rolls back on any error."""
        if self._held:
            async with self._held.transaction() as (connection, driver):
                unit = SqlLedgerUnit(connection, PostgresExecute(driver))
                yield unit
                await unit.flush()
        else:
            async with transaction(self._engine) as connection:
                unit = SqlLedgerUnit(connection, SqliteExecute(connection))
                yield unit
                await unit.flush()

    def outbox(self, sink: Sink, limit: int) -> AbstractAsyncContextManager[list[Entry]]:
        """Some of the oldest entries of a sink, held by one replica at a time, forgotten when the block ends well."""
        return postgres_outbox(self._held, sink, limit) if self._held else sqlite_outbox(self._engine, sink, limit)

    async def purge_raw(self, received_before: datetime) -> int:
        """Forget old raw readings that stand in the ledger, and the payloads of those that don't."""
        old = RAW.c.received_at < received_before
        done = select(RAW.c.id).where(and_(old, RAW.c.status.in_(_IN_LEDGER))).limit(PURGED_AT_ONCE)
        gone = 0
        while True:
            async with transaction(self._engine) as connection:
                result = await connection.execute(delete(RAW).where(RAW.c.id.in_(done)))
            gone += result.rowcount
            if result.rowcount < PURGED_AT_ONCE:
                break
        async with transaction(self._engine) as connection:
            await connection.execute(update(RAW).where(and_(old, RAW.c.payload != "")).values(payload=""))
        return gone

    async def trim_windows(self, max_rows: int, older_than: datetime) -> int:
        """For each unit with more than `max_rows` collected rows, forget those measured before `older_than`."""
        crowded = select(WINDOW_ROWS.c.unit).group_by(WINDOW_ROWS.c.unit).having(func.count() > max_rows)
        old = and_(WINDOW_ROWS.c.unit.in_(crowded), WINDOW_ROWS.c.measured_at < older_than)
        async with transaction(self._engine) as connection:
            return (await connection.execute(delete(WINDOW_ROWS).where(old))).rowcount

    async def unclaimed_devices(self) -> list[str]:
        """Devices with PENDING raw readings."""
        pending = select(RAW.c.device).where(RAW.c.status == RawStatus.PENDING).distinct()
        async with reading(self._engine) as connection:
            return list((await connection.execute(pending)).scalars())

    async def points(self) -> list[str]:
        """All points that have rows."""
        async with reading(self._engine) as connection:
            return list((await connection.execute(select(ROWS.c.point).distinct().order_by(ROWS.c.point))).scalars())

    async def backlog(self) -> dict[str, int]:
        """Entries of the outbox by sink: what the world has yet to be told."""
        async with reading(self._engine) as connection:
            counted = await connection.execute(select(OUTBOX.c.sink, func.count()).group_by(OUTBOX.c.sink))
            return dict(counted.tuples().all())
