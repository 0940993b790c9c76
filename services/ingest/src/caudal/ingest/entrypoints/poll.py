"""Our own clock, which begins a round of asking providers; where there is a Redis, arq's does so too (`queue`).

Both may ring, in any number of replicas: the record says whether a round begins. docs/decisions has why.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from caudal.common.domain.errors import Transient
from caudal.ingest.handlers.polling import Round

LOOKS = 4
"""Our own clock looks so many times in the length of a round's interval whether one is due."""
AGAIN_S = 5.0
"""How soon a round is begun again that could not be ended for something of ours that is away."""

Begin = Callable[[timedelta], Awaitable[Round | None]]

_log = structlog.get_logger(__name__)


async def ring(begin: Begin, every: timedelta, patience: float, ordered: asyncio.Event) -> None:
    """Begin a round whenever the last one began more than `every` × `patience` ago or one is `ordered`.

    Until cancelled. A round that is ordered while another one is under way is begun when that one has ended.
    """
    while True:
        pause_s = every.total_seconds() / LOOKS
        try:
            await begin(every * patience)
        except Transient as error:
            _log.warning("providers cannot be asked yet", reason=str(error))
            pause_s = min(AGAIN_S, pause_s)
        if ordered.is_set():
            await asyncio.sleep(min(AGAIN_S, pause_s))
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await ordered.wait()
