"""The bus over MQTT: acknowledged after the handler, in order, in batches; connected again for ever."""

import asyncio
import math
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from caudal.common.adapters.mqtt_connection import Connection, VersionRefused
from caudal.common.adapters.mqtt_inbox import Inbox
from caudal.common.bus.codec import MAX_MESSAGE_BYTES
from caudal.common.bus.settling import PoisonHandler, Settler, pause
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.metrics import BusMetrics
from caudal.common.ports import Outgoing, Subscription
from caudal.common.settings import MqttSettings

KEEPALIVE_S = 20
"""A silent broker is noticed after twice this time by who only listens; a publisher notices sooner."""
CONNECT_TIMEOUT_S = 5.0
"""From the socket to CONNACK, and for SUBACK of a new session."""
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
        self._dialer = _Dialer(settings, will)
        self._on_poison = on_poison
        self._metrics = metrics or BusMetrics()
        self._publisher = self._link("publish", None)
        self._consumers: list[_Consumer] = []

    def subscribe(self, subscription: Subscription) -> None:
        """Serve `subscription` once the bus runs.

        Raises:
            ValueError: another one has its name.
        """
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
        await connection.publish_all(messages)
        self._metrics.published(len(messages))

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

    def _links(self) -> list["_Link"]:
        return [self._publisher, *(consumer.link for consumer in self._consumers)]

    def _link(self, name: str, subscription: Subscription | None) -> "_Link":
        return _Link(f"{self._client_id}-{name}", self._dialer, subscription, self._metrics)


class _Consumer:
    """Serves one subscription: takes batches, settles them, acknowledges in order."""

    def __init__(self, subscription: Subscription, link: "_Link", settler: Settler, metrics: BusMetrics) -> None:
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
                await self._settler.settle(deliveries, acknowledge, connection.inbox.closed)
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
            self.link.trouble = f"cannot subscribe: {error}"
            _log.error(
                "cannot subscribe", session=self.link.session, filters=self.subscription.filters, reason=str(error)
            )
            connection.drop()
        else:
            self.link.ready.set()


async def _hold(connection: Connection) -> None:
    """Keep a connection that only publishes."""
    await connection.inbox.closed.wait()


class _Link:
    """Keeps one session connected: connects, lets it be served until lost, pauses, connects again."""

    def __init__(self, session: str, dialer: "_Dialer", subscription: Subscription | None, metrics: BusMetrics) -> None:
        self.session = session
        self.trouble = "not connected yet"
        self.ready = asyncio.Event()
        """Set while connected and, for a subscription, subscribed."""
        self._dialer = dialer
        self._subscription = subscription
        self._metrics = metrics
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None

    def begin(self) -> None:
        """Forget that it was stopped before."""
        self._stopping.clear()

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stopping.set()
        if self._connection:
            self._connection.inbox.close()

    async def held(self, wait_s: float) -> Connection:
        """The connection, waiting a little if it is just being made.

        Raises:
            Transient: there is none.
        """
        if not self.ready.is_set():
            await pause(wait_s, self.ready)
        if self._connection is None or not self.ready.is_set():
            raise Transient(f"the broker is away: {self.trouble}")
        return self._connection

    async def run(self, serve: Callable[[Connection], Awaitable[None]]) -> None:
        """Connect and serve, again and again, until stopped."""
        failures = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                async with self._connected() as connection:
                    await serve(connection)
                    self.trouble = f"the connection was lost: {connection.loss}"
            except (aiomqtt.MqttError, OSError) as error:
                self.trouble = str(error) or type(error).__name__
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - begun > STEADY_S else failures + 1
            wait_s = _backoff_s(failures)
            _log.warning("not connected", session=self.session, reason=self.trouble, wait_s=round(wait_s, 1))
            await pause(wait_s, self._stopping)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        async with AsyncExitStack() as stack:
            self._connection = connection = await self._dialer.dial(stack, self.session, self._subscription)
            if self._stopping.is_set():
                connection.inbox.close()
            if self._subscription is None:
                self.ready.set()
            self._metrics.connected(self.session, True)
            _log.info("connected", session=self.session, known=connection.session_present)
            try:
                yield connection
            finally:
                self.ready.clear()
                self._connection = None
                self._metrics.connected(self.session, False)


STEADY_S = 10.0
"""A connection that held for so long is made again at once; shorter ones are made again more and more slowly."""


def _backoff_s(failures: int) -> float:
    """0.2 s for the first failure, then 1, 2, 4 … 30 s, give or take a fifth."""
    seconds = 0.2 if failures == 1 else min(30.0, 2.0 ** (failures - 2))
    return seconds * random.uniform(0.8, 1.2)


class _Dialer:
    """Makes connections: MQTT 5, and 3.1.1 where the broker knows no more."""

    def __init__(self, settings: MqttSettings, will: Outgoing | None) -> None:
        self._settings = settings
        self._will = aiomqtt.Will(will.topic, will.payload, 1, will.retain) if will else None
        self._tls = ssl.create_default_context(cafile=str(settings.mqtt_tls_ca)) if settings.mqtt_tls_ca else None
        v5, v311 = aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311
        self._protocols = {"auto": (v5, v311), "5": (v5,), "3.1.1": (v311,)}[settings.mqtt_protocol]

    async def dial(self, stack: AsyncExitStack, session: str, subscription: Subscription | None) -> Connection:
        """Connect, and leave the broker when `stack` is closed."""
        *others, last = self._protocols
        for protocol in others:
            try:
                return await stack.enter_async_context(self._connection(session, subscription, protocol))
            except VersionRefused as error:
                _log.debug("another version is tried", session=session, protocol=protocol.name, reason=str(error))
        return await stack.enter_async_context(self._connection(session, subscription, last))

    def _connection(
        self, session: str, subscription: Subscription | None, protocol: aiomqtt.ProtocolVersion
    ) -> Connection:
        secret = self._settings.mqtt_password
        return Connection(
            self._settings.mqtt_host,
            self._settings.mqtt_port,
            inbox=_inbox(subscription),
            identifier=session,
            username=self._settings.mqtt_username,
            password=secret.get_secret_value() if secret else None,
            protocol=protocol,
            will=self._will if subscription is None else None,
            tls_context=self._tls,
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_TIMEOUT_S,
            **self._persistence(protocol, subscription),
        )

    def _persistence(self, protocol: aiomqtt.ProtocolVersion, subscription: Subscription | None) -> dict[str, Any]:
        if protocol is not aiomqtt.ProtocolVersion.V5:
            return {"clean_session": subscription is None}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if subscription is not None:
            properties.SessionExpiryInterval = self._settings.mqtt_session_expiry_s
            properties.ReceiveMaximum = min(2 * subscription.max_batch, 65535)
        return {"clean_start": subscription is None, "properties": properties}


def _inbox(subscription: Subscription | None) -> Inbox:
    """Room for the batch in hand and the next one."""
    if subscription is None:
        return Inbox(1, 1)
    return Inbox(2 * subscription.max_batch, subscription.bytes_pending)


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
