"""What comes over the bus from devices, providers and Zigbee2MQTT: topics are parsed here, payloads are not."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from caudal.common.bus import topics
from caudal.common.bus.codec import decode
from caudal.common.bus.contents import unpacked
from caudal.common.bus.messages import Push
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import id_from_name
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.readings import Inlet
from caudal.common.ports import BatchHandler, Delivery, Subscription
from caudal.ingest.handlers.accepting import Arrival
from caudal.ingest.ports import Tally

Accept = Callable[[Sequence[Arrival]], Awaitable[None]]
Forget = Callable[[str], None]

ZIGBEE_WORDS = frozenset({"set", "get", "availability"})
"""Words behind a device's name in topics on which Zigbee2MQTT takes commands or tells who is there."""


class Pace(NamedTuple):
    """How subscriptions are served."""

    group: str | None = None
    """Replicas of one group divide what comes; None: there are none."""
    max_batch: int = 1000
    linger_s: float = 0.005


def subscriptions(
    accept: Accept, forget: Forget, tally: Tally, pace: Pace, zigbee: str = "zigbee2mqtt"
) -> list[Subscription]:
    """What ingest listens to: devices, pushes and Zigbee divided among replicas, changes of the catalog by each.

    Args:
        accept: Takes arrivals; a delivery is acknowledged when it returns.
        forget: Drops what is remembered of a device.
        tally: Counts what is let go.
        pace: How they are served.
        zigbee: Base topic of Zigbee2MQTT.
    """

    async def uplink(deliveries: Sequence[Delivery]) -> None:
        await accept([uplink_of(delivery) for delivery in deliveries])

    async def push(deliveries: Sequence[Delivery]) -> None:
        await accept([push_of(delivery) for delivery in deliveries])

    async def zigbee_state(deliveries: Sequence[Delivery]) -> None:
        arrivals = [zigbee_of(delivery, zigbee) for delivery in deliveries]
        await accept([arrival for arrival in arrivals if arrival])
        for _ in range(arrivals.count(None)):
            tally.dropped("no reading")

    async def config(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            forget(delivery.topic.split("/")[1])

    def divided(name: str, plain: str, handler: BatchHandler) -> Subscription:
        # A group for each filter: the embedded broker takes groups of one name for one, whatever they listen to.
        filters = (f"$share/{pace.group}-{name}/{plain}" if pace.group else plain,)
        return Subscription(filters, handler, max_batch=pace.max_batch, linger_s=pace.linger_s, name=name)

    return [
        divided("uplink", topics.TELEMETRY_UPLINK.filter(), uplink),
        divided("push", topics.PROVIDER_PUSH.filter(), push),
        divided("zigbee", f"{zigbee}/#", zigbee_state),
        Subscription((topics.TELEMETRY_CONFIG.filter(),), config, name="config"),
    ]


def putting_away(accept: Accept) -> Callable[[Delivery, str], Awaitable[None]]:
    """What the bus does with a delivery whose handler failed on it: it is kept as rejected, with the failure."""

    async def put_away(delivery: Delivery, reason: str) -> None:
        kind, name, *_ = [*delivery.topic.split("/"), ""]
        inlet = Inlet.PUSH if kind == "provider" else Inlet.WINDOW if kind == "window" else Inlet.UPLINK
        failure = Unreadable(Refusal.UNDECODABLE, "payload", reason)
        await accept([Arrival(delivery.topic, delivery.payload, inlet, id_from_name(name), unreadable=failure)])

    return put_away


def uplink_of(delivery: Delivery) -> Arrival:
    """An uplink; a name that could not stand in our topics gets an id of its own."""
    device = id_from_name(delivery.topic.split("/")[1])
    return Arrival(delivery.topic, delivery.payload, Inlet.UPLINK, device, retained=delivery.retained)


def push_of(delivery: Delivery) -> Arrival:
    """A push, taken out of its envelope."""
    provider = id_from_name(delivery.topic.split("/")[1])
    try:
        push = decode(delivery.payload, Push)
        content = unpacked(push.content, push.encoding)
    except InvalidInput as error:
        unreadable = Unreadable(Refusal.UNDECODABLE, error.field, error.reason)
        return Arrival(delivery.topic, delivery.payload, Inlet.PUSH, None, provider, unreadable=unreadable)
    return Arrival(delivery.topic, content, Inlet.PUSH, None, provider, push.received_at)


def zigbee_of(delivery: Delivery, base: str) -> Arrival | None:
    """The state of a Zigbee device; None: a message of Zigbee2MQTT about itself, a command, or an erased state."""
    name = delivery.topic[len(base) + 1 :]
    first, *rest = name.split("/")
    if first in ("", "bridge") or not delivery.payload or not ZIGBEE_WORDS.isdisjoint(rest):
        return None
    return Arrival(
        delivery.topic,
        delivery.payload,
        Inlet.UPLINK,
        id_from_name(name),
        retained=delivery.retained,
        preset="zigbee2mqtt",
    )
