"""How often one may try and ask, counted in Redis: by all replicas together, and over a restart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis as Client

from caudal.common.domain.errors import Permanent, Transient
from caudal.gateway_api.adapters.rates import SlidingRates
from caudal.gateway_api.adapters.redis_attempts import AttemptsWherePossible, RedisLoginAttempts, open_redis
from caudal.gateway_api.adapters.sql_attempts import SqlLoginAttempts
from caudal.gateway_api.domain.errors import TooManyAttempts, TooManyRequests
from integration.api.house import ApiHouse, furnished
from servers.redis import Redis

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def client(redis: Redis) -> AsyncIterator[Client]:
    """Redis, spoken to as the service does."""
    async with Client.from_url(f"redis://127.0.0.1:{redis.port}", socket_timeout=1) as opened:
        yield opened


def somebody() -> str:
    return f"{uuid4().hex}@caudal.test"


class TestLockout:
    async def test_sixth_try_waits_until_the_first_has_aged(self, client: Client) -> None:
        attempts, account = RedisLoginAttempts(client), somebody()
        for number in range(5):
            await attempts.begin(account, somebody(), NOW + number * MINUTE)
        with pytest.raises(TooManyAttempts) as refused:
            await attempts.begin(account, somebody(), NOW + 5 * MINUTE)
        assert refused.value.retry_after_s == 10 * 60
        await attempts.begin(account, somebody(), NOW + 15 * MINUTE)

    async def test_address_has_as_many_for_all_accounts_together(self, client: Client) -> None:
        attempts, address = RedisLoginAttempts(client), somebody()
        for _ in range(5):
            await attempts.begin(somebody(), address, NOW)
        with pytest.raises(TooManyAttempts):
            await attempts.begin(somebody(), address, NOW)

    async def test_success_forgets_the_accounts_failures_and_only_itself_of_the_address(self, client: Client) -> None:
        attempts, account, address = RedisLoginAttempts(client), somebody(), somebody()
        for _ in range(4):
            attempt = await attempts.begin(account, address, NOW)
        await attempts.succeeded(attempt, account)
        await attempts.begin(account, address, NOW)
        await attempts.begin(account, address, NOW)
        with pytest.raises(TooManyAttempts):
            await attempts.begin(account, address, NOW)

    async def test_many_at_once_are_no_way_around_it(self, client: Client) -> None:
        attempts, account = RedisLoginAttempts(client), somebody()
        tries = (attempts.begin(account, somebody(), NOW) for _ in range(50))
        came = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(each, str) for each in came) == 5

    async def test_it_survives_a_restart_and_counts_in_the_database_meanwhile(
        self, tmp_path: Path, api: ApiHouse
    ) -> None:
        account = somebody()
        with Redis(tmp_path / "redis") as server:
            async with Client.from_url(f"redis://127.0.0.1:{server.port}", socket_timeout=1) as opened:
                alone = RedisLoginAttempts(opened)
                attempts = AttemptsWherePossible(alone, SqlLoginAttempts(api.engine))
                for _ in range(5):
                    attempt = await attempts.begin(account, somebody(), NOW)
                server.stop()
                with pytest.raises(Transient):
                    await alone.begin(account, somebody(), NOW)
                await attempts.succeeded(attempt, account)
                for _ in range(5):
                    await attempts.begin(account, somebody(), NOW)
                with pytest.raises(TooManyAttempts):
                    await attempts.begin(account, somebody(), NOW)
                server.start()
                with pytest.raises(TooManyAttempts):
                    await alone.begin(account, somebody(), NOW)


class TestRates:
    async def test_address_that_asks_too_often_waits(self, sqlite_url: str, tmp_path: Path) -> None:
        async with furnished(sqlite_url, tmp_path, rate_limit_address="3/minute") as api:
            answers = [await api.client.get("/api/points/") for _ in range(4)]
            assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
            assert 1 <= int(answers[3].headers["retry-after"]) <= 61
            assert answers[3].json()["error"]["code"] == "too_many_requests"
            assert answers[3].headers["x-content-type-options"] == "nosniff"
            assert (await api.client.get("/docs")).status_code == 200

    async def test_caller_that_asks_too_often_waits_and_nobody_else(self, sqlite_url: str, tmp_path: Path) -> None:
        async with furnished(sqlite_url, tmp_path, rate_limit_caller="3/minute") as api:
            statuses = [(await api.reader.get("/api/points/")).status_code for _ in range(4)]
            assert statuses == [200, 200, 200, 429]
            assert (await api.operator.get("/api/points/")).status_code == 200

    async def test_replicas_count_together(self, client: Client) -> None:
        who = somebody()
        here, there = (SlidingRates("4/minute", "", client) for _ in range(2))
        for rates in (here, there, here, there):
            await rates.count("address", who)
        for rates in (here, there):
            with pytest.raises(TooManyRequests):
                await rates.count("address", who)
            await rates.count("caller", who)

    async def test_everybody_may_ask_while_redis_is_away(self) -> None:
        away = open_redis("redis://127.0.0.1:1")
        rates = SlidingRates("1/minute", "1/minute", away)
        for _ in range(3):
            await rates.count("address", "192.0.2.1")
        await away.aclose()

    def test_rate_that_is_none_is_refused_at_the_start(self) -> None:
        with pytest.raises(Permanent, match="600/minute"):
            SlidingRates("often", "", None)
