"""Telling the bus what was committed, in the order in which it was committed."""

import asyncio

from caudal.common.domain.errors import Transient
from caudal.common.ports import Publisher
from caudal.gateway_api.ports import Outbox

AT_ONCE = 200
PROMPT_S = 2.0
"""How long an answer waits for its change to be told; then the relay goes on without it."""


class OutboxRelay:
    """Publishes what waits in the outbox and then forgets it; told twice rather than never."""

    def __init__(self, outbox: Outbox, publisher: Publisher) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._working = asyncio.Lock()
        self._wanted = asyncio.Event()

    async def deliver(self) -> int:
        """Publish all that waits; how much that was.

        Raises:
            Transient: the broker or the database is away; what was not published still waits.
        """
        told = 0
        async with self._working:
            self._wanted.clear()
            while waiting := await self._outbox.pending(AT_ONCE):
                await self._publisher.publish([message for _, message in waiting])
                await self._outbox.published([number for number, _ in waiting])
                told += len(waiting)
        return told

    async def deliver_soon(self) -> None:
        """Publish what waits before going on, if that is quickly done; if not, leave it to who waits for `wanted`."""
        try:
            async with asyncio.timeout(PROMPT_S):
                await self.deliver()
        except (Transient, TimeoutError):
            self._wanted.set()

    async def wanted(self, at_most_s: float) -> None:
        """Return when something may be waiting, after `at_most_s` in any case."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._wanted.wait()
        except TimeoutError:
            return


class QuietRelay(OutboxRelay):
    """Leaves what waits to the relay that runs: within a larger transaction, or where there is no broker."""

    def __init__(self) -> None:
        """It needs nothing, since it publishes nothing."""

    async def deliver_soon(self) -> None:
        return
