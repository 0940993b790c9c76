"""The bus over MQTT: acknowledged after the handler, in order, in batches; connected again for ever."""

import asyncio
import math
from collections.abc import Sequence

import aiomqtt
import structlog

from caudal.common.adapters.mqtt.connection import Connection
from caudal.common.adapters.mqtt.link import Dialer, Link
from caudal.common.bus.codec import MAX_MESSAGE_BYTES
from caudal.common.bus.settling import PoisonHandler, Settler
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.metrics import BusMetrics
from caudal.common.ports import Outgoing, Subscription
from caudal.common.settings import MqttSettings

HOLD_S = 1.0
"""How long `publish` waits for a connection that is just being made again."""
STOP_S = 7.0
"""How long the batches in hand may take when the bus stops."""

_log = structlog.get_logger(__name__)


class MqttBus:
    """Publishes, and serves subscriptions, on one broker.

    Each subscription has a connection and a persistent session of its own, named `<client id>-<subscription name>`, and
    publishing has one more: so a subscription whose handler waits, and whose reading is therefore paused, delays
    neither another subscription nor the acknowledgements that its own handler's publishes wait for.
    docs/decisions/0002 has the reasons.

        bus = MqttBus(settings.mqtt, "processor", on_poison=reject, metrics=service.bus_metrics)
        bus.subscribe(Subscription((topics.TELEMETRY_RAW.filter(shared="processor"),), handle_raw, name="raw"))
        service.part("bus", run=bus.run, check=bus.check)
    """

    def __init__(
        self,
        settings: MqttSettings,
        name: str,
        *,
        on_poison: PoisonHandler | None = None,
        will: Outgoing | None = None,
        metrics: BusMetrics | None = None,
    ) -> None:
        self._client_id = settings.mqtt_client_id or name
        self._dialer = Dialer(settings, will)
        self._on_poison = on_poison
        self._metrics = metrics or BusMetrics()
        self._publisher = self._link("publish", None)
        self._consumers: list[_Consumer] = []

    def subscribe(self, subscription: Subscription) -> None:
        """Serve `subscription` once the bus runs.

        Raises:
            ValueError: another one has its name, or one of its filters is none.
        """
        for topic_filter in subscription.filters:
            _check_filter(topic_filter)
        if subscription.name in ("publish", *(consumer.subscription.name for consumer in self._consumers)):
            raise ValueError(f"a subscription named {subscription.name!r} is there already; give this one its own name")
        link = self._link(subscription.name, subscription)
        settler = Settler(subscription.name, subscription.handler, self._on_poison, self._metrics)
        self._consumers.append(_Consumer(subscription, link, settler, self._metrics))

    async def run(self) -> None:
        """Serve until cancelled; then finish and acknowledge the batches in hand, and leave the broker in order."""
        for link in self._links():
            link.begin()
        publishing = asyncio.create_task(self._publisher.run(_hold), name=self._publisher.session)
        consuming = [asyncio.create_task(consumer.run(), name=consumer.link.session) for consumer in self._consumers]
        try:
            await asyncio.wait([publishing, *consuming], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for consumer in self._consumers:
                consumer.link.stop()
            await _ended(consuming)
            self._publisher.stop()
            await _ended([publishing])

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order with QoS 1, many in flight; returns when the broker has acknowledged all of them.

        Raises:
            Permanent: one is larger than the broker takes, or has no proper topic; nothing was sent.
            Transient: the broker is away, refuses or does not answer; some may have been published.
        """
        for message in messages:
            _check(message)
        connection = await self._publisher.held(HOLD_S)
        await connection.window.publish(messages)
        self._metrics.published(len(messages))

    def incarnation(self) -> int:
        """Which connection publishes; another one may lead to a broker that was killed and has forgotten something."""
        return self._publisher.connections

    async def connected(self) -> None:
        """Return once the publisher and every subscription are connected and subscribed."""
        for link in self._links():
            await link.ready.wait()

    async def check(self) -> dict[str, str]:
        """The state of each session, for readiness.

        Raises:
            Transient: one is not connected, or the broker does not answer.
        """
        for link in self._links():
            if not link.ready.is_set():
                raise Transient(f"{link.session}: {link.trouble}")
        connection = await self._publisher.held(0)
        try:
            await connection.probe()
        except aiomqtt.MqttError as error:
            raise Transient(f"the broker does not answer: {error}") from error
        return {consumer.subscription.name: consumer.state() for consumer in self._consumers}

    @property
    def unacknowledged(self) -> dict[str, int]:
        """How many deliveries each subscription holds, in hand or waiting."""
        return {consumer.subscription.name: consumer.link.unacknowledged for consumer in self._consumers}

    def _links(self) -> list[Link]:
        return [self._publisher, *(consumer.link for consumer in self._consumers)]

    def _link(self, name: str, subscription: Subscription | None) -> Link:
        return Link(f"{self._client_id}-{name}", self._dialer, subscription, self._metrics)


class _Consumer:
    """Serves one subscription: takes batches, settles them, acknowledges in order."""

    def __init__(self, subscription: Subscription, link: Link, settler: Settler, metrics: BusMetrics) -> None:
        self.subscription = subscription
        self.link = link
        self._settler = settler
        self._metrics = metrics

    def state(self) -> str:
        """In words, for readiness."""
        return f"trying again: {self._settler.trouble}" if self._settler.trouble else "ok"

    async def run(self) -> None:
        """Serve until the link is stopped."""
        await self.link.run(self._serve)

    async def _serve(self, connection: Connection) -> None:
        # SUBACK is waited for beside the batches: it comes behind what the session had queued, and iotcore holds it
        # back until some of that is acknowledged.
        subscribing = asyncio.create_task(self._subscribe(connection), name=f"{self.link.session} subscribe")
        try:
            while arrivals := await connection.inbox.take(self.subscription.max_batch, self.subscription.linger_s):
                settled = 0

                def acknowledge(count: int) -> None:
                    nonlocal settled
                    connection.acknowledge(arrivals[settled : settled + count])
                    settled += count
                    self._metrics.received(self.subscription.name, count)

                deliveries = [arrival.delivery for arrival in arrivals]
                await self._settler.settle(deliveries, acknowledge, connection.ending)
                await asyncio.sleep(0)  # a handler that never waits would keep all others waiting
        finally:
            subscribing.cancel()

    async def _subscribe(self, connection: Connection) -> None:
        """Subscribe, a known session too, since its filters may have changed; it is served meanwhile."""
        if connection.session_present:
            self.link.ready.set()
        filters = [(topic_filter, 1) for topic_filter in self.subscription.filters]
        try:
            granted = await connection.subscribe(filters, timeout=math.inf if connection.session_present else None)
            refused = [str(code) for code in granted if getattr(code, "is_failure", False)]
            if refused:
                raise aiomqtt.MqttError(f"refused: {', '.join(refused)}")
        except aiomqtt.MqttError as error:
            if connection.loss is None:
                trouble = f"cannot subscribe: {error}"
                _log.error(trouble, session=self.link.session, filters=self.subscription.filters)
                connection.drop(trouble)
        else:
            self.link.ready.set()


async def _hold(connection: Connection) -> None:
    """Keep a connection that only publishes."""
    await connection.ending.wait()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until tasks that were asked to stop have ended; cut short those that take too long."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=STOP_S)
    for task in late:
        _log.error("did not stop in time", session=task.get_name())
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


def _check(message: Outgoing) -> None:
    """Refuse what the broker would cut the connection for."""
    if len(message.payload) > MAX_MESSAGE_BYTES:
        size = len(message.payload)
        raise Permanent(f"{message.topic}: {size} bytes are more than the {MAX_MESSAGE_BYTES} of a message")
    topic_bytes = len(message.topic.encode())
    if not 0 < topic_bytes <= 65535 or any(mark in message.topic for mark in "+#\0"):
        raise Permanent(f"{message.topic[:80]!r} is no topic to publish on")


def _check_filter(topic_filter: str) -> None:
    """Refuse what a broker would cut the connection for."""
    *levels, last = topic_filter.split("/")
    wildcards_alone = all(level == "+" or not set("+#") & set(level) for level in levels) and (
        last in ("+", "#") or not set("+#") & set(last)
    )
    if not wildcards_alone or not 0 < len(topic_filter.encode()) <= 65535 or "\0" in topic_filter:
        raise ValueError(f"{topic_filter[:80]!r} is no topic filter")
