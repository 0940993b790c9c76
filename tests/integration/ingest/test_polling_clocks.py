"""Rounds are begun by arq's clock on a real Redis, and by our own where Redis is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta

import msgspec
import pytest
from arq import Retry, create_pool
from arq.connections import ArqRedis, RedisSettings

from caudal.common.domain.errors import Transient
from caudal.ingest.entrypoints.poll import ring
from caudal.ingest.entrypoints.queue import QUEUE, Queue
from caudal.ingest.handlers.polling import Round
from servers.process import free_port
from servers.redis import Redis

EVERY = timedelta(minutes=5)
PATIENCE_S = 60.0


class Begun:
    """Counts rounds; the first ones fail."""

    def __init__(self, failures: int = 0) -> None:
        self.gaps: list[timedelta] = []
        self.failures = failures
        self._grown = asyncio.Condition()

    async def begin(self, gap: timedelta) -> Round | None:
        """As `Polling.round`."""
        async with self._grown:
            self.gaps.append(gap)
            self._grown.notify_all()
        if len(self.gaps) <= self.failures:
            raise Transient("no broker", 0.01)
        return Round(points=1)

    async def times(self, count: int) -> None:
        """Return once there were so many."""
        async with asyncio.timeout(PATIENCE_S), self._grown:
            await self._grown.wait_for(lambda: len(self.gaps) >= count)


@contextlib.asynccontextmanager
async def working(run: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """Something that works until it is cancelled."""
    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def pool(redis: Redis) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(
        RedisSettings(redis.host, redis.port),
        job_serializer=msgspec.msgpack.encode,
        job_deserializer=msgspec.msgpack.decode,
    )
    yield pool
    await pool.aclose(close_connection_pool=True)


async def test_arq_begins_a_round(redis: Redis, pool: ArqRedis) -> None:
    begun = Begun()
    queue = Queue(begun.begin, EVERY, f"redis://{redis.host}:{redis.port}/0")
    async with working(queue.run):
        await pool.enqueue_job("poll", _queue_name=QUEUE)
        await begun.times(1)
        assert await queue.check() == {"redis": "connected", "because": None}
    assert begun.gaps[0] == EVERY / 2


async def test_a_round_that_something_of_ours_kept_from_ending_is_to_be_tried_again() -> None:
    queue = Queue(Begun(failures=1).begin, EVERY, "redis://127.0.0.1:1/0")
    with pytest.raises(Retry):
        await queue.poll({})
    assert await queue.poll({}) == {"points": 1, "failed": 0, "readings": 0}


async def test_an_ordered_round_begins_at_once_however_long_the_interval() -> None:
    begun, ordered = Begun(), asyncio.Event()

    async def begin(gap: timedelta) -> Round | None:
        ordered.clear()
        return await begun.begin(gap)

    async with working(lambda: ring(begin, timedelta(days=1), 1.0, ordered)):
        await begun.times(1)
        ordered.set()
        await begun.times(2)


async def test_a_round_ordered_while_another_is_under_way_is_tried_until_it_begins() -> None:
    begun, ordered = Begun(), asyncio.Event()
    ordered.set()
    async with working(lambda: ring(begun.begin, timedelta(seconds=0.04), 1.0, ordered)):
        await begun.times(3)


async def test_without_redis_our_own_clock_goes_on() -> None:
    begun = Begun()
    queue = Queue(begun.begin, EVERY, f"redis://127.0.0.1:{free_port()}/0")
    async with working(queue.run), working(lambda: ring(begun.begin, timedelta(seconds=0.04), 1.25, asyncio.Event())):
        await begun.times(3)
        async with asyncio.timeout(PATIENCE_S):
            while (await queue.check())["redis"] != "away":
                await asyncio.sleep(0.01)
    assert begun.gaps[0] == timedelta(seconds=0.05)
