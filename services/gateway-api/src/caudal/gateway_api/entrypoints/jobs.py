"""What has to be done without being asked: telling what was committed, and forgetting what is old."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from caudal.common.domain.errors import Transient
from caudal.common.ports import Clock
from caudal.gateway_api.handlers.outbox import OutboxRelay
from caudal.gateway_api.ports import Expiring, SharedCounts

SWEEP_S = 10.0
"""What another process left in the outbox is found after so long, at the latest."""
TIDY_S = 3600.0
SETTLE_S = 0.5
"""How far what replicas have counted is apart, at most; what each writes is two small transactions a second."""

_log = structlog.get_logger(__name__)


async def tell(relay: OutboxRelay) -> None:
    """Publish what waits in the outbox, until cancelled."""
    pause_s = 0.5
    while True:
        try:
            told = await relay.deliver()
        except Transient as error:
            _log.warning("cannot tell yet", reason=str(error), wait_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 10.0)
            continue
        pause_s = 0.5
        if told:
            _log.info("told what waited", messages=told)
        await relay.wanted(SWEEP_S)


async def settle(counts: SharedCounts) -> None:
    """Bring what was counted here together with what others counted, until cancelled."""
    pause_s = SETTLE_S
    while True:
        await counts.wanted()
        await asyncio.sleep(pause_s)
        try:
            await counts.settle()
        except Transient as error:
            pause_s = min(pause_s * 2, 10.0)
            _log.warning("requests are counted in this process alone", reason=str(error), again_in_s=pause_s)
            continue
        pause_s = SETTLE_S


async def tidy(kept: Sequence[tuple[Expiring, timedelta]], clock: Clock) -> None:
    """Forget what is older than its age, now and every hour, until cancelled."""
    while True:
        for keeper, age in kept:
            try:
                await keeper.expire(clock.now(), age)
            except Transient as error:
                _log.warning("cannot tidy up yet", reason=str(error))
        await asyncio.sleep(TIDY_S)
