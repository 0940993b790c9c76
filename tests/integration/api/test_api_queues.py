"""Background work as those see it who look after the platform."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from redis.asyncio import Redis as Client

from caudal.gateway_api.adapters.queues import POLLING, ArqQueues
from caudal.gateway_api.domain.queues import QueueClock
from caudal.ingest.adapters.sql_polling import SqlPollingRecord
from caudal.ingest.entrypoints.queue import QUEUE, Queue
from caudal.ingest.handlers.polling import Round
from integration.api.house import NOW, ApiHouse
from servers.process import free_port
from servers.redis import Redis

UNKNOWN = {"waiting": None, "running": None, "completed": None, "failed": None, "retried": None}


@pytest.fixture
async def client(redis: Redis) -> AsyncIterator[Client]:
    async with Client.from_url(f"redis://127.0.0.1:{redis.port}", socket_timeout=1) as opened:
        yield opened


async def test_nobody_and_readers_may_not(api: ApiHouse) -> None:
    assert (await api.client.get("/api/admin/queues/")).status_code == 401
    assert (await api.reader.get("/api/admin/queues/")).status_code == 403


async def test_without_redis_the_record_says_when_a_round_began(api: ApiHouse) -> None:
    found = (await api.admin.get("/api/admin/queues/")).json()["items"]
    never = {"name": POLLING, "service": "ingest", "job": "poll", "clock": "own", "is_under_way": False}
    assert found == [never | UNKNOWN | {"last_begun_at": None}]
    record = SqlPollingRecord(api.engine)
    await record.begin("me", NOW, NOW + timedelta(minutes=30), NOW)
    [polling] = (await api.admin.get("/api/admin/queues/")).json()["items"]
    assert (polling["last_begun_at"], polling["is_under_way"]) == (NOW.isoformat().replace("+00:00", "Z"), True)
    await record.end("me", is_done=True)
    [polling] = (await api.admin.get("/api/admin/queues/")).json()["items"]
    assert (polling["last_begun_at"], polling["is_under_way"]) == (NOW.isoformat().replace("+00:00", "Z"), False)
    await record.end("me", is_done=True)


async def test_a_round_that_was_cut_short_has_no_beginning(api: ApiHouse) -> None:
    record = SqlPollingRecord(api.engine)
    await record.begin("me", NOW, NOW + timedelta(minutes=30), NOW)
    await record.end("me", is_done=False)
    [polling] = await ArqQueues(api.engine, None).all()
    assert (polling.last_begun_at, polling.is_under_way) == (None, False)


async def test_what_the_worker_of_arq_has_done_is_told(api: ApiHouse, redis: Redis, client: Client) -> None:
    async def begin(gap: timedelta) -> Round:
        return Round(points=1)

    assert QUEUE == POLLING
    worker = asyncio.create_task(Queue(begin, timedelta(minutes=5), f"redis://127.0.0.1:{redis.port}/0").run())
    try:
        async with asyncio.timeout(60):
            while (told := (await ArqQueues(api.engine, client).all())[0]).completed is None:
                await asyncio.sleep(0.05)
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker
    assert replace(told, last_begun_at=None) == replace(
        told, clock=QueueClock.REDIS, running=0, completed=0, failed=0, retried=0, last_begun_at=None
    )
    assert told.waiting is not None


async def test_a_redis_that_is_away_is_said(api: ApiHouse) -> None:
    async with Client.from_url(f"redis://127.0.0.1:{free_port()}", socket_connect_timeout=1) as away:
        [polling] = await ArqQueues(api.engine, away).all()
    assert (polling.clock, polling.waiting) == (QueueClock.AWAY, None)
