"""Saying which API keys are in use here: gateway-api writes it down, since the keys are its own."""

from collections import OrderedDict
from datetime import datetime, timedelta

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import KeyUsed
from caudal.common.bus.topics import KEY_USED
from caudal.common.ports import Clock, Outgoing, Publisher

TOLD_EVERY = timedelta(minutes=1)
"""How often it is said of a key, however much comes with it."""
MAX_KEPT = 10_000
"""Keys in memory, as many as `SqlApiKeys` remembers."""


class KeyUses:
    """Tells uses of keys over the bus.

    Args:
        publisher: The bus.
        clock: When they were used.
    """

    def __init__(self, publisher: Publisher, clock: Clock) -> None:
        self._publisher = publisher
        self._clock = clock
        self._told: OrderedDict[str, datetime] = OrderedDict()

    async def used(self, key: str) -> None:
        """Say that this key is in use, unless that was said within a minute.

        Raises:
            Transient: the bus is away.
        """
        now, told = self._clock.now(), self._told.get(key)
        if told is not None and now - told < TOLD_EVERY:
            return
        await self._publisher.publish([Outgoing(KEY_USED.address(key=key), encode(KeyUsed(key=key, used_at=now)))])
        self._told[key] = now
        self._told.move_to_end(key)
        while len(self._told) > MAX_KEPT:
            self._told.popitem(last=False)
