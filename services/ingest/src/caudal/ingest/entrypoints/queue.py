"""arq's clock, which begins a round of asking providers; it needs a Redis, and goes on without one."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import msgspec
import structlog
from arq import Retry, cron
from arq.connections import ArqRedis
from arq.worker import Worker
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from caudal.common.domain.errors import Transient
from caudal.ingest.entrypoints.poll import Begin
from caudal.ingest.handlers.polling import ROUND_S

QUEUE = "caudal:ingest"
JOB_S = ROUND_S + 30.0
"""After so long arq gives a round up; the round does so before."""
TRIES = 3
CONNECT_S = 5.0
CLOSE_S = 2.0
"""How long a worker may take to end."""
REPORT_S = 30
"""How often the worker says in Redis how many jobs it has done."""
AWAY_S = 15.0
"""How long Redis is left alone after it was found to be away."""

_log = structlog.get_logger(__name__)


class Queue:
    """arq's worker of the queue `caudal:ingest`, which begins a round by the clock.

    Args:
        begin: Begins a round.
        every: How often; in whole minutes, at least one.
        redis_url: Where the queue is.
    """

    def __init__(self, begin: Begin, every: timedelta, redis_url: str) -> None:
        self._begin = begin
        self._every = every
        self._redis_url = redis_url
        self._trouble: str | None = "not connected yet"

    async def run(self) -> None:
        """Work until cancelled; while Redis is away, look for it again and again."""
        while True:
            redis = self._opened()
            worker = self._worker(redis)
            try:
                self._trouble = None
                await worker.async_run()
            except (RedisError, OSError, TimeoutError) as error:
                self._trouble = type(error).__name__
                _log.warning("Redis is away, our own clock goes on", error=self._trouble, wait_s=AWAY_S)
            finally:
                await _closed(worker, redis)
            await asyncio.sleep(AWAY_S)

    async def check(self) -> dict[str, Any]:
        """How the queue is; whatever it is, rounds go on."""
        return {"redis": "away" if self._trouble else "connected", "because": self._trouble}

    def _opened(self) -> ArqRedis:
        """A pool of our own: one that arq makes is lost with its connections if it is cancelled while it connects."""
        return ArqRedis(
            ConnectionPool.from_url(self._redis_url, socket_connect_timeout=CONNECT_S),
            job_serializer=msgspec.msgpack.encode,
            job_deserializer=msgspec.msgpack.decode,
            default_queue_name=QUEUE,
        )

    def _worker(self, redis: ArqRedis) -> Worker:
        minutes = max(1, round(self._every.total_seconds() / 60))
        # arq's own type asks for a function with a qualified name, which a bound method has.
        job = cast(Any, self.poll)
        poll = cron(job, name="poll", minute=set(range(0, 60, minutes)), timeout=JOB_S, max_tries=TRIES, unique=True)
        return Worker(
            cron_jobs=[poll],
            queue_name=QUEUE,
            redis_pool=redis,
            handle_signals=False,
            health_check_interval=REPORT_S,
            job_serializer=msgspec.msgpack.encode,
            job_deserializer=msgspec.msgpack.decode,
            log_results=False,
        )

    async def poll(self, context: dict[str, Any]) -> dict[str, Any] | None:
        """The job: begin a round; what it came to.

        Raises:
            Retry: something of ours was away. arq keeps the job of a cron for a minute before it tries it again.
        """
        try:
            done = await self._begin(self._every / 2)
        except Transient as error:
            raise Retry(defer=error.retry_after_s) from error
        return msgspec.to_builtins(done) if done else None


async def _closed(worker: Worker, redis: ArqRedis) -> None:
    """End what the worker has in hand, then its connections.

    Its own `close` leaves them open when it has to cancel a job, and ends them in a way that redis-py has given up.
    """
    jobs = list(worker.tasks.values())
    if jobs:
        # A job that is just telling Redis of its end would go on doing so behind a closed pool if it was cancelled.
        _, late = await asyncio.wait(jobs, timeout=CLOSE_S)
        for job in late:
            job.cancel()
        if late:
            await asyncio.wait(late, timeout=CLOSE_S)
    try:
        async with asyncio.timeout(CLOSE_S):
            await redis.aclose(close_connection_pool=True)
    except (RedisError, OSError, TimeoutError) as error:
        _log.debug("worker was not closed in order", error=type(error).__name__)
