"""Orders about a provider, from the bus: to try it, to ask it now."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from caudal.common.bus import topics
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Command
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Delivery, Subscription

Order = Callable[[str, Command], Awaitable[None]]

AT_ONCE = 10
"""Orders carried out at the same time."""


def subscription(order: Order, group: str | None = None) -> Subscription:
    """`provider/<code>/command`, divided among replicas; acknowledged once the results are told."""

    async def command(deliveries: Sequence[Delivery]) -> None:
        commands = [command_of(delivery) for delivery in deliveries]
        await asyncio.gather(*(order(provider, command) for provider, command in commands))

    filters = (topics.PROVIDER_COMMAND.filter(shared=group and f"{group}-trying"),)
    return Subscription(filters, command, max_batch=AT_ONCE, name="trying")


def command_of(delivery: Delivery) -> tuple[str, Command]:
    """The provider and what is ordered.

    Raises:
        InvalidInput: it is no command, or its topic names no provider.
    """
    ids = topics.PROVIDER_COMMAND.parse(delivery.topic)
    if ids is None:
        raise InvalidInput("topic", f"{delivery.topic[:120]!r} names no provider")
    return ids["provider"], decode(delivery.payload, Command)
