"""Who may empty a sink's outbox: one process at a time, and a dead one no longer."""

import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import lost_connections
from caudal.processor.ports import Sink


@asynccontextmanager
async def outbox_lock(engine: AsyncEngine, sink: Sink) -> AsyncIterator[bool]:
    """Whether the sink's outbox is ours until the block ends; it never waits."""
    if engine.dialect.name == "postgresql":
        with lost_connections():
            async with engine.begin() as connection:
                question = text("select pg_try_advisory_xact_lock(hashtext(:name))")
                yield bool((await connection.execute(question, {"name": f"processor outbox {sink}"})).scalar())
        return
    path = engine.url.database
    if not path or path == ":memory:":
        yield True
        return
    with _lock_file(path, sink) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _lock_file(database: str, sink: Sink) -> TextIO:
    return Path(f"{database}.{sink}.lock").open("w")
