"""The outbox of a sink: emptied by one process at a time, and by a dead one no longer."""

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import lost_connections, reading, transaction
from caudal.common.domain.errors import Transient
from caudal.processor.adapters.rows import outbox_entries
from caudal.processor.adapters.tables import OUTBOX
from caudal.processor.ports import Letter, Sink

HELD_AT_MOST_S = 2.0
"""After so long the outbox is offered to others, unless something that was told has still to be remembered."""
PATIENCE_S = 30.0
"""How long `held` waits for whoever holds the outbox."""
ASK_EVERY_S = 0.02

# Telling twice changes nothing, so forgetting need not wait for the disk.
_TRY = "select pg_try_advisory_lock(hashtext($1)) as is_ours, set_config('synchronous_commit', 'off', false)"
_WAIT = "select pg_advisory_lock(hashtext($1))"
_RELEASE = "select pg_advisory_unlock(hashtext($1))"
_NEXT = (
    "with forgotten as (delete from processor_outbox where id = any($4::bigint[])) "
    "select id, body from processor_outbox where sink = $1 and id <> all($3::bigint[]) order by id limit $2"
)
_FORGET = "delete from processor_outbox where id = any($1::bigint[])"
_oldest = select(OUTBOX.c.id, OUTBOX.c.body).order_by(OUTBOX.c.id)


class Outbox(Protocol):
    """One sink's part of `ports.Ledger`."""

    def letters(
        self, limit: int, besides: Collection[int], forget: Collection[int]
    ) -> AbstractAsyncContextManager[list[Letter]]:
        """See `ports.Ledger.outbox`."""
        ...

    def held(self) -> AbstractAsyncContextManager[None]:
        """See `ports.Ledger.hold`."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


class PostgresOutbox:
    """Held by an advisory lock of a session of its own, which ends with the process.

    The lock is kept while there is something to tell, so that a pass is one round trip.
    """

    def __init__(self, engine: AsyncEngine, sink: Sink) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sink = sink
        self._lock = f"processor outbox {sink}"
        self._connection: AsyncConnection | None = None
        self._ours_since: float | None = None

    @asynccontextmanager
    async def letters(
        self, limit: int, besides: Collection[int], forget: Collection[int]
    ) -> AsyncIterator[list[Letter]]:
        """Some of the oldest letters."""
        if self._ours_since and not besides and time.monotonic() - self._ours_since > HELD_AT_MOST_S:
            await self._ask(_FORGET, list(forget))
            await self._release()
        if self._ours_since is None and (await self._ask(_TRY, self._lock))[0]["is_ours"]:
            self._ours_since = time.monotonic()
        if self._ours_since is None:
            yield []
            return
        found = await self._ask(_NEXT, self._sink.value, limit, [*besides, *forget], list(forget))
        yield [Letter(id_, outbox_entries(body)) for id_, body in found]
        if not found and not besides:
            await self._release()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Nobody else has it meanwhile."""
        await self._ask(_WAIT, self._lock, timeout=PATIENCE_S)
        try:
            yield
        finally:
            await self._release()

    async def aclose(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection, self._ours_since = self._connection, None, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def _release(self) -> None:
        await self._ask(_RELEASE, self._lock)
        self._ours_since = None

    async def _ask(self, query: str, *arguments: Any, timeout: float | None = None) -> list[asyncpg.Record]:
        """The answer to one statement; a session that failed in any way is ended, and the lock with it."""
        with lost_connections():
            try:
                if self._connection is None:
                    self._connection = await self._engine.connect()
                driver = (await self._connection.get_raw_connection()).driver_connection
                assert driver is not None
                return list(await driver.fetch(query, *arguments, timeout=timeout))
            except BaseException:
                await self.aclose()
                raise


class SqliteOutbox:
    """Held by a lock on a file, since SQLite's own would keep everybody from writing while the sink is told."""

    def __init__(self, engine: AsyncEngine, sink: Sink) -> None:
        self._engine = engine
        self._sink = sink

    @asynccontextmanager
    async def letters(
        self, limit: int, besides: Collection[int], forget: Collection[int]
    ) -> AsyncIterator[list[Letter]]:
        """Some of the oldest letters."""
        with _file_lock(self._engine.url.database, self._sink) as is_ours:
            if not is_ours:
                yield []
                return
            if forget:
                async with transaction(self._engine) as connection:
                    await connection.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(forget)))
            untold = _oldest.where(OUTBOX.c.sink == self._sink, OUTBOX.c.id.not_in(besides)).limit(limit)
            async with reading(self._engine) as connection:
                bodies = (await connection.execute(untold)).all()
            yield [Letter(id_, outbox_entries(body)) for id_, body in bodies]

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Nobody else has it meanwhile."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            with _file_lock(self._engine.url.database, self._sink) as is_ours:
                if is_ours:
                    yield
                    return
            if time.monotonic() > give_up_at:
                raise Transient(f"another process holds the outbox of the {self._sink}")
            # A lock on a file can be waited for only by a thread, which nobody could stop.
            await asyncio.sleep(ASK_EVERY_S)

    async def aclose(self) -> None:
        """The lock is held for no longer than a pass."""


@contextmanager
def _file_lock(database: str | None, sink: Sink) -> Iterator[bool]:
    """Whether the lock file beside the database is ours; a database in memory has one process anyway."""
    if not database or database == ":memory:":
        yield True
        return
    with Path(f"{database}.{sink}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
