"""The outbox of a sink: emptied by one process at a time, and by a dead one no longer."""

import fcntl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import asyncpg
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import lost_connections, reading, transaction
from caudal.processor.adapters.rows import outbox_entries
from caudal.processor.adapters.tables import OUTBOX
from caudal.processor.ports import Letter, Sink, Tenure

# Telling twice changes nothing, so forgetting need not wait for the disk.
_TRY = "select pg_try_advisory_lock(hashtext($1)) as is_ours, set_config('synchronous_commit', 'off', false)"
_RELEASE = "select pg_advisory_unlock(hashtext($1))"
_NEXT = (
    "with forgotten as (delete from processor_outbox where id = any($3::bigint[])) "
    "select id, body from processor_outbox where sink = $1 and id <> all($3::bigint[]) order by id limit $2"
)
_oldest = select(OUTBOX.c.id, OUTBOX.c.body).order_by(OUTBOX.c.id)


class PostgresOutbox:
    """Held by an advisory lock of a session of its own, which ends with the process; a pass is one round trip."""

    def __init__(self, engine: AsyncEngine, sink: Sink) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sink = sink
        self._lock = f"processor outbox {sink}"
        self._connection: AsyncConnection | None = None
        self._driver: asyncpg.Connection | None = None
        self._tenure: Tenure | None = None

    async def hold(self) -> Tenure | None:
        """Take it, unless it is taken."""
        if self._tenure is None and (await self._ask(_TRY, self._lock))[0]["is_ours"]:
            self._tenure = Tenure(time.monotonic())
        return self._tenure

    async def release(self) -> None:
        """Let others have it."""
        await self._ask(_RELEASE, self._lock)
        self._tenure = None

    async def next(self, limit: int, forget: Sequence[int]) -> list[Letter]:
        """Some of the oldest letters."""
        found = await self._ask(_NEXT, self._sink.value, limit, forget)
        return [Letter(id_, outbox_entries(body)) for id_, body in found]

    async def aclose(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection, self._driver, self._tenure = self._connection, None, None, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def _ask(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """The answer to one statement; a session that failed in any way is ended, and the lock with it."""
        with lost_connections():
            try:
                if self._driver is None:
                    self._connection = await self._engine.connect()
                    self._driver = (await self._connection.get_raw_connection()).driver_connection
                    assert self._driver is not None
                return list(await self._driver.fetch(query, *arguments))
            except BaseException:
                await self.aclose()
                raise


class SqliteOutbox:
    """Held by a lock on a file, since SQLite's own would keep everybody from writing while the sink is told."""

    def __init__(self, engine: AsyncEngine, sink: Sink) -> None:
        self._engine = engine
        self._sink = sink
        self._file: IO[str] | None = None
        self._tenure: Tenure | None = None

    async def hold(self) -> Tenure | None:
        """Take it, unless it is taken."""
        if self._tenure is None and self._has_locked():
            self._tenure = Tenure(time.monotonic())
        return self._tenure

    async def release(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self._file.close()
        self._file = self._tenure = None

    async def next(self, limit: int, forget: Sequence[int]) -> list[Letter]:
        """Some of the oldest letters."""
        if forget:
            async with transaction(self._engine) as connection:
                await connection.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(forget)))
        untold = _oldest.where(OUTBOX.c.sink == self._sink).limit(limit)
        async with reading(self._engine) as connection:
            bodies = (await connection.execute(untold)).all()
        return [Letter(id_, outbox_entries(body)) for id_, body in bodies]

    async def aclose(self) -> None:
        """Let go of the file."""
        await self.release()

    def _has_locked(self) -> bool:
        """Whether the lock file beside the database is ours now; a database in memory has one process anyway."""
        database = self._engine.url.database
        if not database or database == ":memory:":
            return True
        file = Path(f"{database}.{self._sink}.lock").open("w")  # noqa: SIM115 - held for as long as it is open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True
