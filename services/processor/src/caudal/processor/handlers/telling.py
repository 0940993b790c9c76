"""Tell the world what was committed: letters of the outbox, oldest first, forgotten once nothing can lose them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog

from caudal.common.domain.errors import Transient
from caudal.common.ports import Publisher, RowRefused, TelemetryStore
from caudal.processor.ports import Entry, Ledger, Outbox, Sink, Tenure

TURN_S = 2.0
"""After so long another replica, or a rebuild, may have the outbox, once nothing that was told has to be remembered."""
ASK_EVERY_S = 0.005
"""How often a rebuild asks for the outbox while another process has it."""
PATIENCE_S = 30.0
LETTERS_AT_ONCE = 8
"""Letters read in one go; each holds what one batch changed."""
BUS_REMEMBERS_S = 3.0
"""How long what was published is remembered: a broker that is killed forgets what it took in its last second."""

_log = structlog.get_logger(__name__)


class Teller:
    """Tells one sink, in order; what it told lately is told again when the sink has another incarnation.

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
        at_once: int = LETTERS_AT_ONCE,
    ) -> None:
        self._outbox = ledger.outbox(sink)
        self._tell = tell
        self._monotonic = monotonic
        self._remember_s = remember_s
        self._incarnation = incarnation
        self._at_once = at_once
        self._tenure: Tenure | None = None
        self._told: list[int] = []
        """Letters that were told and are still in the outbox."""
        self._told_to = incarnation()
        self._remembered: deque[tuple[float, list[Entry]]] = deque()
        """What was told lately, and when; oldest first."""
        self.has_more = False
        """Whether the last step left something untold, as far as it knows."""

    async def step(self) -> int:
        """Tell the oldest letters; how many messages or rows. 0: there are none, or another replica is at it.

        Raises:
            Transient: the sink or the database is away; nothing is forgotten.
        """
        self.has_more = False
        tenure = await self._outbox.hold()
        if tenure is not self._tenure:
            self._tenure, self._told = tenure, []
            self._remembered.clear()
        if tenure is None:
            return 0
        await self._tell_again()
        now = self._monotonic()
        while self._remembered and self._remembered[0][0] <= now - self._remember_s:
            self._remembered.popleft()
        is_over = not self._remembered and now - tenure.since > TURN_S
        letters = await self._outbox.next(0 if is_over else self._at_once, forget=self._told)
        self._told = []
        entries = [entry for letter in letters for entry in letter.entries]
        count = await self._tell(entries)
        self._told = [letter.number for letter in letters]
        self.has_more = len(letters) == self._at_once
        if self._remember_s and entries:
            self._remembered.append((now, entries))
        if not self._told and not self._remembered:
            await self._outbox.release()
        return count

    async def _tell_again(self) -> None:
        """Tell a sink that came back what it may have forgotten."""
        if self._told_to != (present := self._incarnation()):
            await self._tell([entry for _, entries in self._remembered for entry in entries])
            self._told_to = present


@asynccontextmanager
async def untold(outbox: Outbox) -> AsyncIterator[None]:
    """Nobody is told anything from this outbox meanwhile.

    Raises:
        Transient: the database is away, or another process does not let go.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await outbox.hold() is None:
                await asyncio.sleep(ASK_EVERY_S)
    except TimeoutError:
        raise Transient("another process does not let go of the outbox") from None
    try:
        yield
    finally:
        await outbox.release()


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
