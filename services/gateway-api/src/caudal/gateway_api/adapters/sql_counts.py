"""Counts of requests in SQL: each replica counts by itself, and settles with the table that all share."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import sqlalchemy as sa
import structlog
from limits.aio.storage import MemoryStorage
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.common.domain.errors import Transient
from caudal.gateway_api.adapters.tables import request_counts

AT_ONCE = 1000
"""Counts that are settled in one transaction."""

_log = structlog.get_logger(__name__)
_sums = sa.select(request_counts).where(request_counts.c.key.in_(sa.bindparam("keys", expanding=True)))


class SqlCounts(MemoryStorage):
    """Counts that are kept in memory, where a request finds them, and in SQL, where the other replicas do.

    No request waits for the database. What was counted here is added to the table, and what the others added is taken
    over, whenever `settle` is called; a limit is overrun by no more than what the others let through in between.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__()
        self._engine = engine
        self._unsettled: Counter[str] = Counter()
        self._asked: set[str] = set()
        self._wanted = asyncio.Event()

    async def get(self, key: str) -> int:
        """How many `key` stands for; what the others have of it is known after the next settling."""
        self._asked.add(key)
        self._wanted.set()
        return await super().get(key)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more, for `expiry` seconds from the first one on; how many there are."""
        self.expirations.setdefault(key, time.time() + expiry)
        self.storage[key] += amount
        self._unsettled[key] += amount
        return self.storage[key]

    async def wanted(self) -> None:
        """Wait until somebody has asked since the last settling."""
        await self._wanted.wait()

    async def settle(self) -> None:
        """Add what was counted to the table, and take over what is in it by now.

        Raises:
            Transient: the database is away. What was counted counts here, and is added when it is back.
        """
        await self._forget_past()
        self._wanted.clear()
        added = dict(islice(self._unsettled.items(), AT_ONCE))
        asked, self._asked = self._asked, set()
        named = {_name_of(key): key for key in islice({**added, **dict.fromkeys(asked)}, 2 * AT_ONCE)}
        try:
            sums = await self._exchanged([self._row(key, amount) for key, amount in added.items()], [*named])
            self._unsettled -= Counter(added)
        finally:
            if self._unsettled:
                self._wanted.set()
        for row in sums:
            key = named[row.key]
            self.storage[key] = row.hits + self._unsettled[key]
            self.expirations[key] = row.ends_at.timestamp()

    async def _exchanged(self, rows: list[dict[str, Any]], names: list[str]) -> Sequence[sa.Row[Any]]:
        """What the table has of these names once the rows are added to it."""
        async with transaction(self._engine) as connection:
            if rows:
                # In one order everywhere, so that of two replicas one waits, not each for the other.
                await connection.execute(_adding(connection), sorted(rows, key=lambda row: row["key"]))
            return (await connection.execute(_sums, {"keys": names})).all()

    async def close(self) -> None:
        """Write down what was counted, so that a restart does not forget it."""
        if not self._unsettled:
            # Such as in a service that ends before it has its tables.
            return
        try:
            await self.settle()
        except Transient as error:
            _log.warning("the last counts of requests are lost", reason=str(error))

    async def expire(self, now: datetime, age: timedelta) -> int:
        """Forget counts that ended longer than `age` ago; how many."""
        over = sa.delete(request_counts).where(request_counts.c.ends_at < now - age)
        async with transaction(self._engine) as connection:
            return (await connection.execute(over)).rowcount

    async def _forget_past(self) -> None:
        now = time.time()
        for key in [key for key, ends_at in self.expirations.items() if ends_at <= now]:
            self._unsettled.pop(key, None)
            await self.clear(key)

    def _row(self, key: str, amount: int) -> dict[str, Any]:
        ends_at = datetime.fromtimestamp(self.expirations[key], UTC)
        return {"key": _name_of(key), "hits": amount, "ends_at": ends_at}


def _adding(connection: AsyncConnection) -> Any:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = insert(request_counts)
    more = {"hits": request_counts.c.hits + new.excluded.hits}
    return new.on_conflict_do_update(index_elements=[request_counts.c.key], set_=more)


def _name_of(key: str) -> str:
    """What a count is called in the table: whatever a proxy calls an address fits, and nobody reads it there."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
