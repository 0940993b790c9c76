"""What one connection has received and not yet acknowledged."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from caudal.common.ports import Delivery


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A delivery, and how its connection acknowledges it."""

    mid: int
    qos: int
    delivery: Delivery


class Inbox:
    """Arrivals of one connection in their order, from the socket to the acknowledgement, bounded by count and bytes.

    It cannot refuse what is already read: whoever reads looks at `is_full` and stops, and goes on at `has_room`.
    """

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._waiting: deque[Arrival] = deque()
        self._count = 0
        self._bytes = 0
        self._wanted = 1
        self._first_at = 0.0
        self._enough = asyncio.Event()
        self._closed = False

    @property
    def is_full(self) -> bool:
        """No more should be read until some are acknowledged."""
        return self._count >= self._max_count or self._bytes >= self._max_bytes

    @property
    def has_room(self) -> bool:
        """Reading may go on: half of both bounds is free."""
        return self._count * 2 <= self._max_count and self._bytes * 2 <= self._max_bytes

    @property
    def unacknowledged(self) -> int:
        """Arrivals waiting or in hand."""
        return self._count

    def put(self, arrival: Arrival) -> None:
        """Add what was just read."""
        if not self._waiting:
            self._first_at = time.monotonic()
        self._waiting.append(arrival)
        self._count += 1
        self._bytes += len(arrival.delivery.payload)
        if len(self._waiting) >= self._wanted or self.is_full:
            self._enough.set()

    async def take(self, at_most: int, linger_s: float) -> list[Arrival]:
        """The next arrivals, as soon as there are `at_most` or the first has waited `linger_s`; none once closed.

        A full inbox does not wait: nothing more would come.
        """
        await self._until(1)
        linger_s -= time.monotonic() - self._first_at
        if linger_s > 0 and len(self._waiting) < at_most:
            with suppress(TimeoutError):
                async with asyncio.timeout(linger_s):
                    await self._until(at_most)
        return [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """These have been acknowledged."""
        self._count -= len(arrivals)
        self._bytes -= sum(len(arrival.delivery.payload) for arrival in arrivals)

    def close(self) -> None:
        """Hand out nothing more; what waits will be delivered again on another connection."""
        self._closed = True
        self._waiting.clear()
        self._enough.set()

    async def _until(self, count: int) -> None:
        while len(self._waiting) < count and not self._closed and not (self._waiting and self.is_full):
            self._wanted = count
            self._enough.clear()
            await self._enough.wait()
