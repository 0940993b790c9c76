"""Answers to our orders, from the bus."""

from collections.abc import Sequence

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Result
from caudal.common.bus.topics import PROVIDER_RESULT, SCHEMA_RESULT, TELEMETRY_RESULT, WINDOW_RESULT
from caudal.common.ports import Delivery, Subscription
from caudal.gateway_api.handlers.orders import OrderDesk, take_answer


def answers(desk: OrderDesk) -> Subscription:
    """The subscription through which answers come; every replica hears all of them, since any may be waiting."""

    async def take(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await take_answer(desk, decode(delivery.payload, Result))

    filters = (TELEMETRY_RESULT.filter(), WINDOW_RESULT.filter(), PROVIDER_RESULT.filter(), SCHEMA_RESULT.filter())
    return Subscription(filters, take, max_batch=100, name="answers")
