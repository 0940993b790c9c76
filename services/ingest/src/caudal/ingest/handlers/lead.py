"""How far a window may run ahead of the processor: what is ahead lies in the broker's queue, and that has an end."""

import asyncio
from collections import deque
from datetime import datetime
from typing import NamedTuple

from caudal.common.domain.errors import Transient
from caudal.ingest.ports import WindowProgress

LOOK_AGAIN_S = 0.2
"""How often the ledger is asked while a window waits for it."""


class _Mark(NamedTuple):
    """A place in a window."""

    rows: int
    """Rows sent up to here."""
    received_at: datetime
    """Of the last of them."""


class Lead:
    """Holds a window back while the ledger has not taken what was sent long before.

    Args:
        progress: What the ledger has of the window.
        window: Its id.
        most: Rows that may be ahead; 0: no bound.
    """

    def __init__(self, progress: WindowProgress, window: str, most: int) -> None:
        self._progress = progress
        self._window = window
        self._most = most
        self._taken = 0
        self._ahead: deque[_Mark] = deque()

    async def sent(self, rows: int, received_at: datetime) -> None:
        """Return once at most so many of `rows`, the last of which was received at `received_at`, are ahead.

        It waits for as long as the processor or the database is away.
        """
        if not self._most:
            return
        self._ahead.append(_Mark(rows, received_at))
        while rows - self._taken > self._most:
            if await self._is_taken(self._ahead[0]):
                self._taken = self._ahead.popleft().rows
            else:
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _is_taken(self, mark: _Mark) -> bool:
        try:
            return await self._progress.has_taken(self._window, mark.received_at)
        except Transient:
            return False
