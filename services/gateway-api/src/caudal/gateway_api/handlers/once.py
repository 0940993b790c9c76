"""Doing something once for all requests with one Idempotency-Key, however many come at once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from caudal.common.domain.errors import InvalidInput, Transient
from caudal.common.ports import Clock
from caudal.gateway_api.domain.repeats import Attempt, Claim, ClaimState
from caudal.gateway_api.ports import Repeats

WAIT_S = 8.0
"""How long a repetition waits for the first one's answer."""


@dataclass(frozen=True, slots=True)
class OnceDesk:
    """The ports that doing something once needs."""

    repeats: Repeats
    clock: Clock


async def once(desk: OnceDesk, attempt: Attempt, do: Callable[[str], Awaitable[str]]) -> str:
    """What `do` answered to the first attempt with this key; it is called with an id of what it does.

    What fails is forgotten, so trying again is right.

    Raises:
        InvalidInput: the key came with another request before.
        Transient: the first one takes too long.
    """
    try:
        claim = await _claimed_or_done(desk, attempt)
    except TimeoutError as error:
        raise Transient("the first request with this Idempotency-Key is still under way", 1.0) from error
    return await _first(desk, attempt, claim, do) if claim.is_ours else claim.answer or ""


async def _claimed_or_done(desk: OnceDesk, attempt: Attempt) -> Claim:
    pause_s = 0.01
    async with asyncio.timeout(WAIT_S):
        while True:
            claim = await desk.repeats.claim(attempt, uuid4().hex, desk.clock.now())
            if claim.digest != attempt.digest:
                raise InvalidInput("Idempotency-Key", "came with another request before")
            if claim.is_ours or claim.state is ClaimState.DONE:
                return claim
            # Somebody else is at it at this moment, perhaps in another process.
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.5)


async def _first(desk: OnceDesk, attempt: Attempt, claim: Claim, do: Callable[[str], Awaitable[str]]) -> str:
    try:
        answer = await do(claim.id)
    except BaseException:
        await asyncio.shield(desk.repeats.release(attempt, claim.id))
        raise
    await desk.repeats.done(attempt, answer)
    return answer
