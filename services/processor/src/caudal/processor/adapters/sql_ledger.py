"""`SqlLedger`: the ledger in SQLite or PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import HeldConnections, reading, transaction
from caudal.common.domain.readings import RawStatus
from caudal.processor.adapters.execution import PostgresExecution, RememberedHeads, SqliteExecution
from caudal.processor.adapters.outboxes import PostgresOutbox, SqliteOutbox
from caudal.processor.adapters.sql_unit import SqlLedgerUnit
from caudal.processor.adapters.tables import RAW, ROWS, WINDOW_ROWS
from caudal.processor.domain.ledger import received_from
from caudal.processor.ports import LedgerUnit, Outbox, Sink

_IN_LEDGER = (RawStatus.COMPLETED, RawStatus.SKIPPED)
PURGED_AT_ONCE = 5000


class SqlLedger:
    """See `ports.Ledger`."""

    def __init__(self, engine: AsyncEngine, is_alone: bool = False) -> None:
        """`is_alone`: no other replica is meant to write; heads are remembered then, and only confirmed."""
        self._engine = engine
        self._remembered = RememberedHeads(is_alone)
        is_postgres = engine.dialect.name == "postgresql"
        self._held = HeldConnections(engine) if is_postgres else None
        outbox = PostgresOutbox if is_postgres else SqliteOutbox
        self._outboxes = {sink: outbox(engine, sink) for sink in Sink}
        self._deaf = {Sink.RECORDS}

    async def aclose(self) -> None:
        """Give back what is held of the database."""
        for outbox in self._outboxes.values():
            await outbox.aclose()
        if self._held:
            await self._held.aclose()

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[LedgerUnit]:
        """A transaction; commits at the end, rolls back on any error."""
        if self._held:
            async with self._held.connection() as (connection, driver):
                unit = SqlLedgerUnit(connection, PostgresExecution(driver, self._remembered), self._deaf)
                yield unit
                tenures = {sink: outbox.tenure for sink, outbox in self._outboxes.items()}
                left = await unit.commit()
                for sink, outbox in self._outboxes.items():
                    outbox.leave(left[sink] if left else None, tenures[sink])
        else:
            async with transaction(self._engine) as connection:
                unit = SqlLedgerUnit(connection, SqliteExecution(connection), self._deaf)
                yield unit
                await unit.commit()

    def outbox(self, sink: Sink) -> Outbox:
        """What this sink has yet to be told."""
        return self._outboxes[sink]

    def listen(self, sink: Sink, is_wanted: bool) -> None:
        """Whether units enqueue anything for a sink."""
        if is_wanted:
            self._deaf.discard(sink)
        else:
            self._deaf.add(sink)

    def listens(self, sink: Sink) -> bool:
        """Whether they do."""
        return sink not in self._deaf

    async def purge_raw(self, received_before: datetime) -> int:
        """Forget old raw readings that stand in the ledger, and the payloads of those that don't."""
        old = and_(RAW.c.id < received_from(received_before), RAW.c.received_at < received_before)
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
