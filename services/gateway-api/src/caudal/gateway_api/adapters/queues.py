"""Queues: what arq keeps in Redis, beside what the services themselves have on record."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import UtcDateTime
from caudal.common.adapters.sql_reads import ask_one
from caudal.gateway_api.domain.queues import Queue, QueueClock

if TYPE_CHECKING:
    from redis.asyncio import Redis

POLLING = "caudal:ingest"
"""The queue of ingest, which asks providers."""

_polling_rounds = sa.table(
    "polling_rounds",
    sa.column("name", sa.String),
    sa.column("begun_at", UtcDateTime),
    sa.column("is_under_way", sa.Boolean),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The beginning of a round that was cut short."""
_COUNT = re.compile(r"(\w+)=(\d+)")

_log = structlog.get_logger(__name__)


class ArqQueues:
    """`Queues` of arq, where there is a Redis."""

    def __init__(self, engine: AsyncEngine, redis: "Redis | None") -> None:
        self._engine = engine
        self._redis = redis

    async def all(self) -> Sequence[Queue]:
        """As `Queues`."""
        row = await ask_one(self._engine, sa.select(_polling_rounds)) or {}
        begun_at = row.get("begun_at")
        clock, counts = await self._counts(POLLING)
        polling = Queue(
            name=POLLING,
            service="ingest",
            job="poll",
            clock=clock,
            waiting=counts.get("waiting"),
            running=counts.get("j_ongoing"),
            completed=counts.get("j_complete"),
            failed=counts.get("j_failed"),
            retried=counts.get("j_retried"),
            last_begun_at=None if begun_at == _EPOCH else begun_at,
            is_under_way=bool(row.get("is_under_way")),
        )
        return [polling]

    async def _counts(self, queue: str) -> tuple[QueueClock, dict[str, int]]:
        """What Redis says of a queue: what waits in it, and what its worker reported last, in arq's words."""
        if self._redis is None:
            return QueueClock.OWN, {}
        from redis.exceptions import RedisError

        try:
            waiting = await self._redis.zcard(queue)
            report = await self._redis.get(f"{queue}:health-check") or b""
        except (RedisError, OSError, TimeoutError) as error:
            _log.info("queues cannot be seen", error=type(error).__name__)
            return QueueClock.AWAY, {}
        told = {name: int(count) for name, count in _COUNT.findall(report.decode())}
        return QueueClock.REDIS, {**told, "waiting": waiting}
