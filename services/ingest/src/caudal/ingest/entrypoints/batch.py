"""Orders of batch windows from the bus."""

from collections.abc import Awaitable, Callable, Sequence

from caudal.common.bus import topics
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Command
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import id_from_name
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Delivery, Subscription
from caudal.ingest.handlers.accepting import Arrival

Order = Callable[[Sequence[tuple[str, Command]]], Awaitable[None]]
Accept = Callable[[Sequence[Arrival]], Awaitable[None]]


def subscription(order: Order, accept: Accept, group: str | None = None) -> Subscription:
    """`window/<id>/command`, divided among replicas; acknowledged when `order` has them in safety.

    What is no order goes to `accept`, which keeps it as rejected.
    """

    async def command(deliveries: Sequence[Delivery]) -> None:
        orders: list[tuple[str, Command]] = []
        refused: list[Arrival] = []
        for delivery in deliveries:
            try:
                orders.append(command_of(delivery))
            except InvalidInput as error:
                refused.append(_refused(delivery, error))
        await accept(refused)
        await order(orders)

    return Subscription((topics.WINDOW_COMMAND.filter(shared=group and f"{group}-windows"),), command, name="windows")


def _refused(delivery: Delivery, error: InvalidInput) -> Arrival:
    window = id_from_name(delivery.topic.split("/")[1])
    unreadable = Unreadable(Refusal.UNDECODABLE, error.field, error.reason)
    return Arrival(delivery.topic, delivery.payload, Inlet.WINDOW, window, unreadable=unreadable)


def command_of(delivery: Delivery) -> tuple[str, Command]:
    """The window and what is ordered.

    Raises:
        InvalidInput: it is no command, or its topic names no window.
    """
    ids = topics.WINDOW_COMMAND.parse(delivery.topic)
    if ids is None:
        raise InvalidInput("topic", f"{delivery.topic[:120]!r} names no window")
    return ids["window"], decode(delivery.payload, Command)
