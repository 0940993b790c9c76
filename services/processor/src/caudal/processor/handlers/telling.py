"""Tell the world what was committed: letters of the outbox, oldest first, forgotten once nothing can lose them."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from caudal.common.ports import Publisher, RowRefused, TelemetryStore
from caudal.processor.ports import Entry, Ledger, Sink

LETTERS_AT_ONCE = 8
"""Letters read in one go; each holds what one batch changed."""
BUS_REMEMBERS_S = 3.0
"""How long what was published is kept: a broker that is killed forgets what it acknowledged in its last second."""

_log = structlog.get_logger(__name__)


class Teller:
    """Tells one sink, in order; what it told is told again when the sink has another incarnation.

    Telling twice changes nothing, so what was told and not forgotten when a process ends is told again by the next.
    """

    def __init__(
        self,
        ledger: Ledger,
        sink: Sink,
        tell: Callable[[Sequence[Entry]], Awaitable[int]],
        monotonic: Callable[[], float],
        remember_s: float = 0.0,
        incarnation: Callable[[], int] = lambda: 0,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._tell = tell
        self._monotonic = monotonic
        self.remember_s = remember_s
        """For how long what was told is kept."""
        self._incarnation = incarnation
        self._known = incarnation()
        self._told: dict[int, float] = {}
        """Letters that were told and are still kept, and when they were told; oldest first."""

    async def step(self) -> int:
        """Tell the oldest letters; how many messages or rows. 0: there are none, or another replica is at it.

        Raises:
            Transient: the sink or the database is away; nothing is forgotten.
        """
        if self._known != (now_known := self._incarnation()):
            self._known = now_known
            self._told.clear()
        now = self._monotonic()
        forget = [number for number, at in self._told.items() if at <= now - self.remember_s]
        kept = self._told.keys() - set(forget)
        async with self._ledger.outbox(self._sink, LETTERS_AT_ONCE, besides=kept, forget=forget) as letters:
            for number in forget:
                del self._told[number]
            count = await self._tell([entry for letter in letters for entry in letter.entries])
        self._told |= {letter.number: now for letter in letters}
        return count


def bus_teller(
    ledger: Ledger, publisher: Publisher, monotonic: Callable[[], float], incarnation: Callable[[], int]
) -> Teller:
    """Tells the bus."""
    return Teller(ledger, Sink.BUS, partial(_publish, publisher), monotonic, BUS_REMEMBERS_S, incarnation)


def store_teller(ledger: Ledger, store: TelemetryStore, monotonic: Callable[[], float]) -> Teller:
    """Tells the telemetry store, which has on disk what it acknowledges."""
    return Teller(ledger, Sink.STORE, partial(_project, store), monotonic)


async def _publish(publisher: Publisher, entries: Sequence[Entry]) -> int:
    messages = [message for entry in entries for message in entry.messages]
    await publisher.publish(messages)
    return len(messages)


async def _project(store: TelemetryStore, entries: Sequence[Entry]) -> int:
    rows = [row for entry in entries for row in entry.rows]
    if rows:
        try:
            await store.write(rows)
        except RowRefused as error:
            # The others are written, and the ledger has this one: it is no reason to hold up what follows.
            _log.error("the store refuses rows", refused=error.refused, first=str(error))
    return len(rows)
