"""How often one may try and ask, counted in Redis or in SQL: by all replicas together, and over a restart."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from limits.aio.storage import MemoryStorage
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis as Client
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import open_engine
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.settings import SqlSettings
from caudal.gateway_api.adapters.rates import SlidingRates, redis_counts
from caudal.gateway_api.adapters.redis_attempts import AttemptsWherePossible, RedisLoginAttempts, open_redis
from caudal.gateway_api.adapters.sql_attempts import SqlLoginAttempts
from caudal.gateway_api.adapters.sql_counts import SqlCounts
from caudal.gateway_api.domain.errors import TooManyAttempts, TooManyRequests
from caudal.gateway_api.entrypoints.app import Bounds, create_app
from caudal.gateway_api.entrypoints.jobs import settle
from caudal.gateway_api.main import furnish
from caudal.gateway_api.settings import GatewaySettings
from integration.api.house import ApiHouse, furnished, new_client
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

    async def test_account_that_is_forgiven_is_forgiven_at_its_address_too(self, client: Client, api: ApiHouse) -> None:
        account, other, address = somebody(), somebody(), somebody()
        for attempts in (RedisLoginAttempts(client), SqlLoginAttempts(api.engine)):
            for who in (account, account, account, account, other):
                await attempts.begin(who, address, NOW)
            with pytest.raises(TooManyAttempts):
                await attempts.begin(account, address, NOW)
            await attempts.forget(account)
            for _ in range(4):
                await attempts.begin(somebody(), address, NOW)
            with pytest.raises(TooManyAttempts):
                await attempts.begin(somebody(), address, NOW)

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
        here, there = (SlidingRates("4/minute", "", redis_counts(client)) for _ in range(2))
        for rates in (here, there, here, there):
            await rates.count("address", who)
        for rates in (here, there):
            with pytest.raises(TooManyRequests):
                await rates.count("address", who)
            await rates.count("caller", who)

    async def test_everybody_may_ask_while_redis_is_away(self) -> None:
        away = open_redis("redis://127.0.0.1:1")
        rates = SlidingRates("1/minute", "1/minute", redis_counts(away))
        for _ in range(3):
            await rates.count("address", "192.0.2.1")
        await away.aclose()

    def test_rate_that_is_none_is_refused_at_the_start(self) -> None:
        with pytest.raises(Permanent, match="600/minute"):
            SlidingRates("often", "", MemoryStorage())


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database with its tables."""
    opened = open_engine(SqlSettings(database_url=database_url))
    yield opened
    await opened.dispose()


async def _asks(who: str, rates: SlidingRates, times: int) -> int:
    """How many of so many requests are let through."""
    came = [await asyncio.gather(rates.count("address", who), return_exceptions=True) for _ in range(times)]
    assert all(answer is None or isinstance(answer, TooManyRequests) for [answer] in came)
    return sum(answer is None for [answer] in came)


class TestRatesInSql:
    async def test_two_doors_on_one_database_count_together(self, database_url: str, tmp_path: Path) -> None:
        async with furnished(database_url, tmp_path, rate_limit_caller="4/year") as api:
            limits = GatewaySettings(rate_limit_caller="4/year")
            other = furnish(limits, tmp_path, 90, api.engine, api.store, api.bus, api.clock)
            here = api.reader
            there = new_client(create_app(other.door, Bounds(), CollectorRegistry()), dict(here.headers))
            assert [(await here.get("/api/points/")).status_code for _ in range(3)] == [200] * 3
            await api.house.counts.settle()
            assert (await there.get("/api/points/")).status_code == 200
            await other.counts.settle()
            answer = await there.get("/api/points/")
            assert (answer.status_code, "retry-after" in answer.headers) == (429, True)

    async def test_replicas_count_together(self, engine: AsyncEngine) -> None:
        who, counts = somebody(), [SqlCounts(engine) for _ in range(2)]
        here, there = (SlidingRates("6/year", "", each) for each in counts)
        assert [await _asks(who, here, 2), await _asks(who, there, 2)] == [2, 2]
        for each in counts:
            await each.settle()
        assert [await _asks(who, there, 3), await _asks(somebody(), there, 3)] == [2, 3]
        await counts[1].settle()
        # What the other let through since this one asked is known a moment after it asks again.
        assert await _asks(who, here, 1) == 1
        await counts[0].settle()
        assert await _asks(who, here, 1) == 0

    async def test_who_only_looks_learns_what_the_others_counted(self, engine: AsyncEngine) -> None:
        who, here, there = somebody(), SqlCounts(engine), SqlCounts(engine)
        assert await _asks(who, SlidingRates("2/year", "", here), 2) == 2
        await here.settle()
        rates = SlidingRates("2/year", "", there)
        await rates.check("address", who)
        await asyncio.wait_for(there.wanted(), 1)
        await there.settle()
        with pytest.raises(TooManyRequests):
            await rates.check("address", who)

    async def test_many_replicas_that_settle_at_once_add_up(self, engine: AsyncEngine) -> None:
        people, counts = [somebody() for _ in range(20)], [SqlCounts(engine) for _ in range(4)]
        for each in counts:
            for who in people:
                assert await _asks(who, SlidingRates("12/year", "", each), 3) == 3
        await asyncio.gather(*(each.settle() for each in counts))
        fresh = SqlCounts(engine)
        rates = SlidingRates("12/year", "", fresh)
        assert [await _asks(who, rates, 1) for who in people] == [1] * 20
        await fresh.settle()
        assert [await _asks(who, rates, 1) for who in people] == [0] * 20

    async def test_it_survives_a_restart(self, engine: AsyncEngine) -> None:
        who, before = somebody(), SqlCounts(engine)
        assert await _asks(who, SlidingRates("5/year", "", before), 9) == 5
        await before.close()
        after = SqlCounts(engine)
        rates = SlidingRates("5/year", "", after)
        # Who asks first after a restart is known a moment later.
        assert await _asks(who, rates, 1) == 1
        await after.settle()
        assert await _asks(who, rates, 1) == 0

    async def test_who_counted_nothing_ends_in_order_without_tables(self, tmp_path: Path) -> None:
        engine = open_engine(SqlSettings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"))
        await SqlCounts(engine).close()
        await engine.dispose()

    async def test_it_goes_on_by_itself_and_waits_while_nobody_asks(self, engine: AsyncEngine) -> None:
        who, here, there = somebody(), SqlCounts(engine), SqlCounts(engine)
        assert await _asks(who, SlidingRates("2/year", "", here), 2) == 2
        settling = asyncio.create_task(settle(here))
        rates = SlidingRates("2/year", "", there)
        async with asyncio.timeout(20):
            while await _asks(who, rates, 1):
                await there.settle()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(here.wanted(), 0)
        settling.cancel()
        await asyncio.wait([settling])

    async def test_counts_go_when_their_time_is_over(
        self, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counts, now = SqlCounts(engine), datetime.now(UTC)
        assert await _asks(somebody(), SlidingRates("5/second", "", counts), 1) == 1
        assert await _asks(somebody(), SlidingRates("5/year", "", counts), 1) == 1
        await counts.settle()
        assert [await counts.expire(now + age, timedelta(0)) for age in (timedelta(0), MINUTE, MINUTE)] == [0, 1, 0]
        assert len(counts.storage) == 2
        later_s = time.time() + MINUTE.total_seconds()
        monkeypatch.setattr(time, "time", lambda: later_s)
        await counts.settle()
        assert len(counts.storage) == 1

    async def test_everybody_may_ask_while_the_database_is_away_and_is_counted_meanwhile(self, tmp_path: Path) -> None:
        who, away = somebody(), open_engine(SqlSettings(database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none"))
        counts = SqlCounts(away)
        rates = SlidingRates("3/year", "", counts)
        assert await _asks(who, rates, 2) == 2
        with pytest.raises(Transient):
            await counts.settle()
        assert await _asks(who, rates, 2) == 1
        await counts.close()
        await away.dispose()

    async def test_what_was_counted_while_the_database_was_away_is_added(self, sqlite_url: str, tmp_path: Path) -> None:
        who, path = somebody(), Path(sqlite_url.partition("///")[2])
        engine = open_engine(SqlSettings(database_url=sqlite_url))
        counts, hidden = SqlCounts(engine), tmp_path / "hidden.db"
        path.rename(hidden)
        path.mkdir()
        assert await _asks(who, SlidingRates("5/year", "", counts), 2) == 2
        with pytest.raises(Transient):
            await counts.settle()
        path.rmdir()
        hidden.rename(path)
        await counts.settle()
        await counts.settle()
        other = SqlCounts(engine)
        rates = SlidingRates("5/year", "", other)
        assert await _asks(who, rates, 1) == 1
        await other.settle()
        assert await _asks(who, rates, 5) == 2
        await engine.dispose()

    async def test_whatever_a_proxy_calls_an_address_can_be_kept(self, engine: AsyncEngine) -> None:
        counts = SqlCounts(engine)
        for who in ("\0", "\ud800", "9" * 10_000, "'; drop table users; --"):
            assert await _asks(who, SlidingRates("5/year", "", counts), 1) == 1
        await counts.settle()
