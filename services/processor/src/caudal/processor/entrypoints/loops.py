"""What the processor does by itself: tell the world what was committed, and tidy up from time to time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from prometheus_client import Counter

from caudal.common.domain.errors import Transient

SWEEP_S = 0.5
"""How long an outbox that nobody nudged waits at most: another replica may have left something."""
MORE_S = 0.02
"""How long to wait for a nudge where something was found: there may be more, and mostly there is not."""
RETRY_MAX_S = 10.0

_log = structlog.get_logger(__name__)


class Relay:
    """Empties one sink of the outbox whenever it is nudged, and tries again for ever when the sink is away."""

    def __init__(self, name: str, step: Callable[[], Awaitable[int]], told: Counter, linger_s: float) -> None:
        self.trouble: str | None = None
        """Why it is waiting; None while all goes well."""
        self._name = name
        self._step = step
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
                count = await self._step()
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
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), MORE_S if count else SWEEP_S)
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
