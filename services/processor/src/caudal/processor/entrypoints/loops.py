"""What the processor does by itself: tell the world what was committed, and tidy up from time to time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import structlog
from prometheus_client import Counter

from caudal.common.domain.errors import Transient

SWEEP_S = 0.5
"""How long an outbox that nobody nudged waits at most: another replica may have left something."""
FORGET_S = 0.1
"""How long to wait for a nudge before what was told is forgotten; mostly the next nudge comes sooner."""
RETRY_MAX_S = 10.0

_log = structlog.get_logger(__name__)


class Telling(Protocol):
    """Tells one sink what waits for it."""

    has_more: bool
    """Whether the last step left something untold, as far as it knows."""

    async def step(self) -> int:
        """Tell some of it; how much that was."""
        ...


class Relay:
    """Empties one sink of the outbox whenever it is nudged, and tries again for ever when the sink is away."""

    def __init__(self, name: str, teller: Telling, told: Counter, linger_s: float) -> None:
        self.trouble: str | None = None
        """Why it is waiting; None while all goes well."""
        self._name = name
        self._teller = teller
        self._linger_s = linger_s
        self._told = told.labels(name)
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """There may be something new."""
        self._nudged.set()

    async def run(self) -> None:
        """Relay until cancelled."""
        wait_s = 0.25
        while True:
            self._nudged.clear()
            try:
                count = await self._teller.step()
            except Transient as error:
                if self.trouble is None:
                    _log.warning("cannot tell", sink=self._name, reason=str(error))
                self.trouble = str(error)
                wait_s = min(RETRY_MAX_S, max(wait_s * 2, error.retry_after_s))
                await asyncio.sleep(wait_s)
                continue
            if self.trouble is not None:
                _log.info("telling again", sink=self._name)
            self.trouble, wait_s = None, 0.25
            self._told.inc(count)
            if not self._teller.has_more:
                await self._until_nudged(FORGET_S if count else SWEEP_S)

    async def _until_nudged(self, at_most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._nudged.wait()
        # What several batches left is told together: it costs little more than what one left.
        await asyncio.sleep(self._linger_s)

    async def check(self) -> None:
        """Return if the sink takes what it is told, raise why not."""
        if self.trouble is not None:
            raise Transient(self.trouble)


async def every(seconds: float, name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` at once and then every so many seconds; a database or store that is away is tried next time."""
    while True:
        try:
            outcome = await work()
        except Transient as error:
            _log.warning("put off", job=name, reason=str(error))
        else:
            _log.info("done", job=name, outcome=outcome)
        await asyncio.sleep(seconds)
