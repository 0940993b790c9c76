"""Orders of batch windows from the bus."""

from collections.abc import Awaitable, Callable, Sequence

from caudal.common.bus import topics
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Command
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Delivery, Subscription

Order = Callable[[Sequence[tuple[str, Command]]], Awaitable[None]]


def subscription(order: Order, group: str | None = None) -> Subscription:
    """`window/<id>/command`, divided among replicas; acknowledged when `order` has them in safety."""

    async def command(deliveries: Sequence[Delivery]) -> None:
        await order([command_of(delivery) for delivery in deliveries])

    return Subscription((topics.WINDOW_COMMAND.filter(shared=group and f"{group}-windows"),), command, name="windows")


def command_of(delivery: Delivery) -> tuple[str, Command]:
    """The window and what is ordered.

    Raises:
        InvalidInput: it is no command, or its topic names no window.
    """
    ids = topics.WINDOW_COMMAND.parse(delivery.topic)
    if ids is None:
        raise InvalidInput("topic", f"{delivery.topic[:120]!r} names no window")
    return ids["window"], decode(delivery.payload, Command)
