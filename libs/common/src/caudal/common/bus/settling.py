"""How a batch of deliveries is carried through its handler: the same for every bus, real or in memory."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from caudal.common.domain.errors import CaudalError, Transient
from caudal.common.metrics import BusMetrics
from caudal.common.ports import BatchHandler, Delivery

PoisonHandler = Callable[[Delivery, str], Awaitable[None]]
"""Puts away a delivery that its handler cannot take, with the reason; it is acknowledged when this returns."""

MAX_RETRY_S = 30.0
"""No retry waits longer than this, whatever the handler asks for."""

_log = structlog.get_logger(__name__)


class Settler:
    """Carries deliveries through one handler, in order, until each is handled or put away.

    `Transient` tries the same deliveries again after a pause; any other exception is narrowed down by halving until
    one delivery is left, which is put away. What comes before it is settled first, so the order always holds.
    """

    def __init__(
        self, name: str, handler: BatchHandler, on_poison: PoisonHandler | None, metrics: BusMetrics | None = None
    ) -> None:
        self.name = name
        self.trouble: str | None = None
        """Why it is trying again right now; None while all goes well."""
        self._handler = handler
        self._on_poison = on_poison
        self._metrics = metrics or BusMetrics()

    async def settle(
        self, batch: Sequence[Delivery], acknowledge: Callable[[int], None], given_up: asyncio.Event
    ) -> None:
        """Settle `batch`, telling `acknowledge` how many more are settled each time some are.

        Between two tries it looks at `given_up`; once that is set the rest stays unacknowledged and will be delivered
        again.
        """
        parts = [batch]
        while parts and not given_up.is_set():
            part = parts.pop()
            try:
                await self._attempt(part)
            except Transient as error:
                await self._pause(error, given_up)
                parts.append(part)
                continue
            except Exception as error:  # noqa: BLE001 - the loop is supervised: whatever a handler raises ends here
                if len(part) > 1:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                    continue
                if not await self._put_away(part[0], error, given_up):
                    return
            self.trouble = None
            acknowledge(len(part))

    async def _attempt(self, part: Sequence[Delivery]) -> None:
        with self._metrics.handling(self.name, len(part)):
            await self._handler(part)

    async def _put_away(self, delivery: Delivery, error: Exception, given_up: asyncio.Event) -> bool:
        """Whether `delivery` is in safety; it is tried until it is, or until all is given up."""
        reason = f"{type(error).__name__}: {error}"[:500]
        unexpected = None if isinstance(error, CaudalError) else error
        _log.error("poison", subscription=self.name, topic=delivery.topic, reason=reason, exc_info=unexpected)
        self._metrics.poison(self.name)
        if self._on_poison is None:
            _log.error(
                "poison lost", subscription=self.name, topic=delivery.topic, payload=repr(delivery.payload[:2000])
            )
            return True
        while not given_up.is_set():
            try:
                await self._on_poison(delivery, reason)
            except Exception as failure:  # noqa: BLE001 - it must not get lost, whatever stands in the way
                await self._pause(failure, given_up)
            else:
                return True
        return False

    async def _pause(self, error: Exception, given_up: asyncio.Event) -> None:
        asked_s = error.retry_after_s if isinstance(error, Transient) else 1.0
        wait_s = min(max(asked_s, 0.01), MAX_RETRY_S) * random.uniform(0.9, 1.1)
        self.trouble = str(error)
        self._metrics.retry(self.name)
        _log.warning("trying again", subscription=self.name, reason=self.trouble, wait_s=round(wait_s, 3))
        await pause(wait_s, given_up)


async def pause(seconds: float, unless: asyncio.Event) -> None:
    """Wait for `seconds`, or less if `unless` is set before."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await unless.wait()
