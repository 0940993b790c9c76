"""Answers to our orders, and which keys are in use elsewhere, from the bus."""

from collections.abc import Sequence

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import KeyUsed, Progress, Result
from caudal.common.bus.topics import (
    KEY_USED,
    PROVIDER_RESULT,
    SCHEMA_RESULT,
    TELEMETRY_RESULT,
    WINDOW_PROGRESS,
    WINDOW_RESULT,
)
from caudal.common.ports import Delivery, Subscription
from caudal.gateway_api.handlers.orders import OrderDesk, take_answer, take_progress
from caudal.gateway_api.ports import ApiKeys


def answers(desk: OrderDesk) -> Subscription:
    """The subscription through which answers come; every replica hears all of them, since any may be waiting."""

    async def take(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await take_answer(desk, decode(delivery.payload, Result))

    filters = (TELEMETRY_RESULT.filter(), WINDOW_RESULT.filter(), PROVIDER_RESULT.filter(), SCHEMA_RESULT.filter())
    return Subscription(filters, take, max_batch=100, name="answers")


def progress(desk: OrderDesk) -> Subscription:
    """The subscription through which orders that take their time say how far they are."""

    async def take(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await take_progress(desk, decode(delivery.payload, Progress))

    return Subscription((WINDOW_PROGRESS.filter(),), take, max_batch=100, name="progress")


def key_uses(keys: ApiKeys) -> Subscription:
    """The subscription through which other doors say which keys have come to them."""

    async def take(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            said = decode(delivery.payload, KeyUsed)
            await keys.used(said.key, said.used_at)

    return Subscription((KEY_USED.filter(),), take, max_batch=100, name="key uses")
