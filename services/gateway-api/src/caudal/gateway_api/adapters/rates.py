"""How often an address or a caller may ask, counted where all replicas do: in Redis, or in SQL (`sql_counts`)."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from caudal.common.domain.errors import Permanent
from caudal.gateway_api.domain.errors import TooManyRequests

if TYPE_CHECKING:
    # For its type alone: without a Redis it is not loaded.
    from redis.asyncio import Redis

_log = structlog.get_logger(__name__)


class SlidingRates:
    """Counts in sliding windows; while Redis is away everybody may ask."""

    def __init__(self, address: str, caller: str, counts: Storage) -> None:
        self._counted = SlidingWindowCounterRateLimiter(counts)
        self._limits = {"address": _parsed(address), "caller": _parsed(caller)}

    async def count(self, kind: str, who: str) -> None:
        await self._ask(kind, who, self._counted.hit)

    async def check(self, kind: str, who: str) -> None:
        await self._ask(kind, who, self._counted.test)

    async def _ask(self, kind: str, who: str, may: Callable[..., Awaitable[bool]]) -> None:
        limit = self._limits[kind]
        if limit is None:
            return
        try:
            if await may(limit, kind, who):
                return
            resets_at = (await self._counted.get_window_stats(limit, kind, who)).reset_time
        except StorageError as error:
            _log.warning("rates are not counted", reason=str(error))
            return
        raise TooManyRequests(max(1.0, resets_at - time.time()))


def redis_counts(redis: "Redis") -> Storage:
    """Counts of requests in Redis."""
    # The address is that of the pool; the one given here only says which kind of server it is.
    pool: Any = redis.connection_pool
    return RedisStorage(
        "async+redis://", True, implementation="redispy", key_prefix="caudal:rates", connection_pool=pool
    )


def _parsed(text: str) -> RateLimitItem | None:
    """A limit such as `600/minute`; None: there is none."""
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise Permanent(f"{text!r} is no rate such as 600/minute") from error
