"""The outbox of a sink: emptied by one process at a time, and by a dead one no longer."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import HeldConnections, reading, transaction
from caudal.processor.adapters.rows import outbox_entries
from caudal.processor.adapters.tables import OUTBOX
from caudal.processor.ports import Entry, Sink

_HOLD = (
    # Telling twice changes nothing, so this transaction's commit need not wait for the disk.
    "select pg_try_advisory_xact_lock(hashtext($1)), set_config('synchronous_commit', 'off', true)"
)
_BODIES = "select id, body from processor_outbox where sink = $1 order by id limit $2"
_FORGET = "delete from processor_outbox where id = any($1::bigint[])"
_oldest = select(OUTBOX.c.id, OUTBOX.c.body).order_by(OUTBOX.c.id)


@asynccontextmanager
async def postgres_outbox(held: HeldConnections, sink: Sink, limit: int) -> AsyncIterator[list[Entry]]:
    """One transaction: an advisory lock, the entries, and their end."""
    async with held.transaction() as (_, driver):
        is_ours = await driver.fetchval(_HOLD, f"processor outbox {sink}")
        bodies = await driver.fetch(_BODIES, sink.value, limit) if is_ours else []
        yield [entry for _, body in bodies for entry in outbox_entries(body)]
        if bodies:
            await driver.execute(_FORGET, [id_ for id_, _ in bodies])


@asynccontextmanager
async def sqlite_outbox(engine: AsyncEngine, sink: Sink, limit: int) -> AsyncIterator[list[Entry]]:
    """A lock on a file, since SQLite's own would keep everybody from writing while the sink is told."""
    with _file_lock(engine.url.database, sink) as is_ours:
        if not is_ours:
            yield []
            return
        async with reading(engine) as connection:
            bodies = (await connection.execute(_oldest.where(OUTBOX.c.sink == sink).limit(limit))).all()
        yield [entry for _, body in bodies for entry in outbox_entries(body)]
        if bodies:
            async with transaction(engine) as connection:
                await connection.execute(delete(OUTBOX).where(OUTBOX.c.id.in_([id_ for id_, _ in bodies])))


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
