"""What one connection has published and the broker has not yet acknowledged."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from caudal.common.domain.errors import Transient
from caudal.common.ports import Outgoing

WINDOW = 100
"""Publishes in flight at most: fewer wait for the network, more only lengthen what is lost with a connection."""
PUBACK_TIMEOUT_S = 10.0
"""A broker that acknowledges nothing for so long is taken for dead."""
LOST_RETRY_S = 0.3
"""When to publish again after a lost connection: most are back by then."""
UNHEARD = 16
"""The reason code of what nobody is subscribed to."""
UNHEARD_RETRY_S = 1.0
"""A reader that is just being started has subscribed by then."""
REFUSED = 128
"""Reason codes from here on are refusals."""
REFUSED_RETRY_S = 5.0
"""A refusal (an access rule, a quota) is for somebody to mend; until then what caused it is kept and tried again."""


class _Call:
    """One `publish` on its way: how many acknowledgements it still waits for."""

    __slots__ = ("done", "missing", "refusal", "unheard")

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.refusal: str | None = None
        self.unheard: str | None = None
        self.done = asyncio.Event()


class Window:
    """Sends at most `WINDOW` messages ahead of their acknowledgements, for all callers together, each in its order."""

    def __init__(self, send: Callable[[Outgoing], int | None], drop: Callable[[str], None]) -> None:
        self._send = send
        self._drop = drop
        self._calls: dict[int, tuple[_Call, str | None]] = {}
        """By packet; with the topic, if somebody has to be subscribed to it."""
        self._room = asyncio.Event()
        self._answers = 0
        self._loss: str | None = None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order; return when all are acknowledged.

        Raises:
            Transient: the connection was lost, the broker refused or did not answer, or a message that needs a reader
                has none; some may have been published.
        """
        if not messages:
            return
        call = _Call(len(messages))
        for message in messages:
            while len(self._calls) >= WINDOW and self._loss is None:
                self._room.clear()
                await self._answer(self._room)
            mid = self._send(message) if self._loss is None else None
            if mid is None:
                raise Transient(f"the connection to the broker was lost: {self._loss}", LOST_RETRY_S)
            self._calls[mid] = (call, message.topic if message.needs_reader else None)
        await self._answer(call.done)
        if call.refusal:
            raise Transient(f"the broker refused: {call.refusal}", REFUSED_RETRY_S)
        if call.unheard:
            raise Transient(f"nobody is subscribed to {call.unheard}", UNHEARD_RETRY_S)
        if call.missing:
            raise Transient(f"the connection was lost before the broker acknowledged all: {self._loss}", LOST_RETRY_S)

    def answered(self, mid: int, code: int) -> None:
        """The broker acknowledged packet `mid` with this reason code."""
        self._answers += 1
        call, needed = self._calls.pop(mid, (None, None))
        if len(self._calls) <= WINDOW // 2:
            self._room.set()
        if call is None:
            return
        if code == UNHEARD and needed:
            call.unheard = needed
        if code >= REFUSED:
            call.refusal = str(ReasonCode(PacketTypes.PUBACK, identifier=code))
        call.missing -= 1
        if not call.missing:
            call.done.set()

    def lose(self, reason: str) -> None:
        """No more acknowledgements will come."""
        self._loss = self._loss or reason
        self._room.set()
        for call, _ in self._calls.values():
            call.done.set()

    async def _answer(self, event: asyncio.Event) -> None:
        """Wait for acknowledgements; a broker that gives none is dropped, and with it all that is in flight."""
        while not event.is_set():
            answers = self._answers
            with suppress(TimeoutError):
                async with asyncio.timeout(PUBACK_TIMEOUT_S):
                    await event.wait()
            if self._answers == answers and not event.is_set():
                reason = f"the broker acknowledged nothing for {PUBACK_TIMEOUT_S:.0f} s"
                self._drop(reason)
                raise Transient(reason)
