"""A bus without a broker: it keeps what is published and hands it to handlers as the real one does."""

import asyncio
from collections.abc import Sequence

from caudal.common.bus.settling import PoisonHandler, Settler
from caudal.common.domain.errors import Transient
from caudal.common.ports import Delivery, Outgoing, Subscription


class MemoryBus:
    """Records publishes in order, and delivers them, once or again, to the subscriptions that match.

    Like the real bus it retries `Transient` (after its pause), narrows other exceptions down to one delivery, and
    takes a message from the queue only when its handler has returned.
    """

    def __init__(self, on_poison: PoisonHandler | None = None) -> None:
        self.published: list[Outgoing] = []
        """All that was published, oldest first."""
        self.acknowledged: list[Delivery] = []
        """All that was settled, in that order."""
        self.away = False
        """Set it to let every publish fail as when the broker is down."""
        self._on_poison = on_poison
        self._subscriptions: list[Subscription] = []

    def subscribe(self, subscription: Subscription) -> None:
        """Serve `subscription` from now on."""
        self._subscriptions.append(subscription)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Keep `messages`; `deliver_published` hands them on.

        Raises:
            Transient: `away` is set; none was kept.
        """
        if self.away:
            raise Transient("the broker is away")
        self.published.extend(messages)

    def on(self, topic_filter: str) -> list[Outgoing]:
        """What was published on topics that match."""
        return [message for message in self.published if matches(topic_filter, message.topic)]

    async def deliver(self, *deliveries: Delivery, times: int = 1) -> None:
        """Hand `deliveries` to every subscription that matches, `times` times: a broker may deliver again."""
        for _ in range(times):
            for subscription in self._subscriptions:
                wanted = [delivery for delivery in deliveries if _is_wanted(subscription, delivery)]
                for start in range(0, len(wanted), subscription.max_batch):
                    await self._settle(subscription, wanted[start : start + subscription.max_batch])

    async def deliver_published(self, since: int = 0, times: int = 1) -> None:
        """Hand on what has been published from number `since` on."""
        messages = self.published[since:]
        await self.deliver(*(Delivery(m.topic, m.payload) for m in messages), times=times)

    async def _settle(self, subscription: Subscription, batch: Sequence[Delivery]) -> None:
        settler = Settler(subscription.name, subscription.handler, self._on_poison)
        settled = 0

        def acknowledge(count: int) -> None:
            nonlocal settled
            self.acknowledged += batch[settled : settled + count]
            settled += count

        await settler.settle(batch, acknowledge, asyncio.Event())


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to `topic_filter`, shared or not, gets what is published on `topic`."""
    wanted = topic_filter.split("/")
    wanted = wanted[2:] if wanted[0] == "$share" else wanted
    given = topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("+", g) for w, g in zip(wanted, given, strict=True))


def _is_wanted(subscription: Subscription, delivery: Delivery) -> bool:
    return any(matches(wanted, delivery.topic) for wanted in subscription.filters)
