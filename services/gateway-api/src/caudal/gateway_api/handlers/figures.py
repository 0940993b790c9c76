"""The platform in three numbers, at a bounded cost."""

import asyncio
import time
from dataclasses import dataclass, field

from caudal.common.domain.errors import Transient
from caudal.gateway_api.handlers.windows import WindowDesk
from caudal.gateway_api.ports import Ledger

REST = 10
"""A count that took so long is not repeated for ten times as long."""
COUNT_S = 2.0
"""How long one count may take; a count that takes longer is not shown."""


@dataclass(slots=True)
class Figures:
    """Uptime, what the ledger holds, and what the last flush wrote."""

    ledger: Ledger
    windows: WindowDesk
    started_at: float = field(default_factory=time.monotonic)
    _written: int | None = None
    _count_again_at: float = float("-inf")
    _counting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self) -> dict[str, float | None]:
        """The three numbers, as `GET /metrics` answers them."""
        return {
            "uptime_sec": round(time.monotonic() - self.started_at, 3),
            "points_written": await self._count(),
            "last_flush_rows": self.windows.last_flush_rows,
        }

    async def _count(self) -> int | None:
        async with self._counting:
            begun = time.monotonic()
            if begun >= self._count_again_at:
                try:
                    async with asyncio.timeout(COUNT_S):
                        self._written = await self.ledger.written_count()
                except (Transient, TimeoutError):
                    self._written = None
                now = time.monotonic()
                self._count_again_at = now + REST * (now - begun)
            return self._written
