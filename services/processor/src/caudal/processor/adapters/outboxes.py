"""The outbox of a sink: emptied by one process at a time, and by a dead one no longer."""

import fcntl
import time
from collections import deque
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

FORGET_EVERY_S = 0.5
"""How long letters are handed on without a look at the table, which may have some of other replicas."""
FORGET_AT = 64
"""Letters that are told and not forgotten, at most; each has up to some megabytes."""
LEFT_ENTRIES = 256
"""Entries handed on without a look at the table, at most; a sink that is away finds the rest in the table."""


class _Left:
    """What units of this process left for a sink and has not been given to the holder.

    Only what tells of new rows is handed on past the table: no other letter can be about them before that one is told,
    so it does not matter what else waits.
    """

    def __init__(self) -> None:
        self.is_all = False
        """Whether nothing else is known to wait in the table."""
        self._letters: deque[Letter] = deque()
        self._entries = 0
        self._read_up_to = 0
        """The highest number that came from the table."""

    def put(self, letters: Sequence[Letter] | None) -> None:
        """A unit left these; None: something that has to be read in its turn."""
        if letters is None or self._entries > LEFT_ENTRIES:
            self.clear()
            return
        if letters and letters[0].number <= self._read_up_to:
            # The table was faster than the unit's own report: they may be told, and even forgotten.
            self.clear()
            return
        self._letters.extend(letters)
        self._entries += sum(len(letter.entries) for letter in letters)

    def take(self, limit: int) -> list[Letter]:
        """The oldest."""
        taken = [self._letters.popleft() for _ in range(min(limit, len(self._letters)))]
        self._entries -= sum(len(letter.entries) for letter in taken)
        return taken

    def read(self, found: Sequence[Letter], is_all: bool) -> None:
        """The table had these, beside what was told; `is_all`: and no others."""
        known = {letter.number for letter in found}
        self._read_up_to = max(self._read_up_to, *known, 0)
        others = [letter for letter in self._letters if letter.number not in known]
        self.clear()
        # Those that are no part of the answer came after it; unless a transaction that began earlier took longer.
        if is_all and all(letter.number > self._read_up_to for letter in others):
            self.put(others)
            self.is_all = True

    def clear(self) -> None:
        """Know nothing."""
        self._letters.clear()
        self._entries, self.is_all = 0, False

    def __bool__(self) -> bool:
        return bool(self._letters)


class PostgresOutbox:
    """Held by an advisory lock of a session of its own, which ends with the process.

    What this process has just committed is handed on as it is. From time to time, and where that is not all, the table
    is asked: in one round trip, which forgets everything that was told before at once, so that a letter never outlives
    a later one about the same rows.
    """

    def __init__(self, engine: AsyncEngine, sink: Sink) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sink = sink
        self._lock = f"processor outbox {sink}"
        self._connection: AsyncConnection | None = None
        self._driver: asyncpg.Connection | None = None
        self.tenure: Tenure | None = None
        """Since when it is held; None: it is not."""
        self._left = _Left()
        self._given: set[int] = set()
        """Handed on without a look at the table, and not known to be told."""
        self._told: list[int] = []
        self._read_at = 0.0

    async def hold(self) -> Tenure | None:
        """Take it, unless it is taken."""
        if self.tenure is None and (await self._ask(_TRY, self._lock))[0]["is_ours"]:
            self._know_nothing()
            self.tenure = Tenure(time.monotonic())
        return self.tenure

    async def release(self) -> None:
        """Let others have it."""
        await self._ask(_RELEASE, self._lock)
        self.tenure = None

    def leave(self, letters: Sequence[Letter] | None, tenure: Tenure | None) -> None:
        """A unit of this process left these; None: something that has to be read in its turn.

        `tenure` is that of before the commit: if it has ended, another may have told them since, and forgotten them.
        """
        if self.tenure is not None:
            self._left.put(letters if tenure is self.tenure else None)

    async def next(self, limit: int, forget: Sequence[int]) -> list[Letter]:
        """Some of those just left, or of the oldest in the table."""
        self._told += forget
        self._given.difference_update(forget)
        is_asked_lately = time.monotonic() - self._read_at < FORGET_EVERY_S and len(self._told) < FORGET_AT
        if limit and self._left and self._left.is_all and not self._given and is_asked_lately:
            letters = self._left.take(limit)
            self._given = {letter.number for letter in letters}
            return letters
        return await self._read(limit)

    async def _read(self, limit: int) -> list[Letter]:
        forgotten = list(self._told)
        answer = await self._ask(_NEXT, self._sink.value, limit, forgotten)
        found = [Letter(id_, outbox_entries(body)) for id_, body in answer]
        del self._told[: len(forgotten)]
        self._given.clear()
        self._left.read(found, is_all=len(found) < limit)
        self._read_at = time.monotonic()
        return found

    def _know_nothing(self) -> None:
        self._left.clear()
        self._given.clear()
        self._told.clear()

    async def aclose(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection, self._driver, self.tenure = self._connection, None, None, None
        self._know_nothing()
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
        self.tenure: Tenure | None = None
        """Since when it is held; None: it is not."""

    async def hold(self) -> Tenure | None:
        """Take it, unless it is taken."""
        if self.tenure is None and self._has_locked():
            self.tenure = Tenure(time.monotonic())
        return self.tenure

    async def release(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self._file.close()
        self._file = self.tenure = None

    def leave(self, letters: Sequence[Letter] | None, tenure: Tenure | None) -> None:
        """They are read in their turn."""

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
