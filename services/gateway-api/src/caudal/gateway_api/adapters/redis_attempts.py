"""Failed logins in Redis, which all replicas share, and in SQL while it is away."""

from datetime import datetime
from uuid import uuid4

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from caudal.common.domain.errors import Transient
from caudal.gateway_api.domain.attempts import ATTEMPT_AGE, ATTEMPTS, digest_of
from caudal.gateway_api.domain.errors import TooManyAttempts
from caudal.gateway_api.ports import LoginAttempts

_BEGIN = """
local now, age, limit, attempt = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local waits = 0
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - age)
  local oldest = redis.call('ZREVRANGE', key, limit - 1, limit - 1, 'WITHSCORES')
  if oldest[2] then waits = math.max(waits, tonumber(oldest[2]) + age - now) end
end
if waits > 0 then return tostring(waits) end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, attempt)
  redis.call('EXPIRE', key, math.ceil(age))
end
return '0'
"""
"""All of it or nothing, and alone: many at once are no way around the limit."""

_log = structlog.get_logger(__name__)


def open_redis(url: str) -> Redis:
    """Redis with timeouts on everything; the caller closes it."""
    redis: Redis = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    return redis


class RedisLoginAttempts:
    """Failed logins as sorted sets, by account and by address; they age out by themselves."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._begin = redis.register_script(_BEGIN)

    async def begin(self, account: str, address: str, at: datetime) -> str:
        there = digest_of(address)
        attempt = f"{uuid4().hex}/{there}"
        keys = [_key("account", digest_of(account)), _key("address", there)]
        arguments: list[float | str] = [at.timestamp(), ATTEMPT_AGE.total_seconds(), ATTEMPTS, attempt]
        try:
            waits_s = float(await self._begin(keys=keys, args=arguments))
        except (RedisError, OSError) as error:
            raise Transient(f"Redis is away: {error}") from error
        if waits_s > 0:
            raise TooManyAttempts(max(1.0, waits_s))
        return attempt

    async def succeeded(self, attempt: str, account: str) -> None:
        try:
            await self._redis.delete(_key("account", digest_of(account)))
            await self._redis.zrem(_key("address", attempt.partition("/")[2]), attempt)
        except (RedisError, OSError) as error:
            raise Transient(f"Redis is away: {error}") from error

    async def forget(self, account: str) -> None:
        key = _key("account", digest_of(account))
        try:
            failures = [member.decode() for member in await self._redis.zrange(key, 0, -1)]
            await self._redis.delete(key)
            for failure in failures:
                await self._redis.zrem(_key("address", failure.partition("/")[2]), failure)
        except (RedisError, OSError) as error:
            raise Transient(f"Redis is away: {error}") from error


class AttemptsWherePossible:
    """Attempts in the first store, and in the second one while the first is away: nobody is locked out by that."""

    def __init__(self, first: LoginAttempts, second: LoginAttempts) -> None:
        self._stores = {"1": first, "2": second}

    async def begin(self, account: str, address: str, at: datetime) -> str:
        try:
            return "1" + await self._stores["1"].begin(account, address, at)
        except Transient as error:
            _log.warning("counting failed logins in the database", reason=str(error))
            return "2" + await self._stores["2"].begin(account, address, at)

    async def succeeded(self, attempt: str, account: str) -> None:
        try:
            await self._stores[attempt[0]].succeeded(attempt[1:], account)
        except Transient as error:
            # The attempt goes on counting as failed, and ages out.
            _log.warning("a login stays counted as failed", reason=str(error))

    async def forget(self, account: str) -> None:
        for store in self._stores.values():
            try:
                await store.forget(account)
            except Transient as error:
                _log.warning("failed logins stay counted", reason=str(error))


def _key(kind: str, digest: str) -> str:
    return f"caudal:attempts:{kind}:{digest}"
