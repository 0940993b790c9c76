"""A session that is kept connected for ever."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from caudal.common.adapters.mqtt.connection import Connection, VersionRefused
from caudal.common.adapters.mqtt.inbox import Inbox
from caudal.common.bus.settling import pause
from caudal.common.domain.errors import Transient
from caudal.common.metrics import BusMetrics
from caudal.common.ports import Outgoing, Subscription
from caudal.common.settings import MqttSettings

KEEPALIVE_S = 20
"""A silent broker is noticed after twice this time by who only listens; a publisher notices sooner."""
CONNECT_TIMEOUT_S = 5.0
"""From the socket to CONNACK, and for SUBACK of a new session."""
STEADY_S = 10.0
"""A connection that held for so long is made again at once; shorter ones are made again more and more slowly."""

_log = structlog.get_logger(__name__)


class Link:
    """Keeps one session connected: connects, lets it be served until lost, pauses, connects again."""

    def __init__(self, session: str, dialer: "Dialer", subscription: Subscription | None, metrics: BusMetrics) -> None:
        self.session = session
        self.trouble = "not connected yet"
        self.connections = 0
        """How often it was connected."""
        self.ready = asyncio.Event()
        """Set while connected and, for a subscription, subscribed."""
        self._dialer = dialer
        self._subscription = subscription
        self._metrics = metrics
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None

    @property
    def unacknowledged(self) -> int:
        """Deliveries in hand or waiting."""
        return self._connection.inbox.unacknowledged if self._connection else 0

    def begin(self) -> None:
        """Forget that it was stopped before."""
        self._stopping.clear()

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stopping.set()
        if self._connection:
            self._connection.leave()

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
            self._connection = connection = await self._dialer.dial(
                stack, self.session, self._subscription, self.ready.clear
            )
            self.connections += 1
            if self._stopping.is_set():
                connection.leave()
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


def _backoff_s(failures: int) -> float:
    """0.2 s for the first failure, then 1, 2, 4 … 30 s, give or take a fifth."""
    seconds = 0.2 if failures == 1 else min(30.0, 2.0 ** (failures - 2))
    return seconds * random.uniform(0.8, 1.2)


class Dialer:
    """Makes connections: MQTT 5, and 3.1.1 where the broker knows no more."""

    def __init__(self, settings: MqttSettings, will: Outgoing | None) -> None:
        self._settings = settings
        self._will = aiomqtt.Will(will.topic, will.payload, 1, will.retain) if will else None
        self._tls = ssl.create_default_context(cafile=str(settings.mqtt_tls_ca)) if settings.mqtt_tls_ca else None
        v5, v311 = aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311
        self._protocols = {"auto": (v5, v311), "5": (v5,), "3.1.1": (v311,)}[settings.mqtt_protocol]

    async def dial(
        self, stack: AsyncExitStack, session: str, subscription: Subscription | None, on_ending: Callable[[], None]
    ) -> Connection:
        """Connect, and leave the broker when `stack` is closed; `on_ending` hears of it as soon as the end is near."""

        def connection(protocol: aiomqtt.ProtocolVersion) -> Connection:
            return self._connection(session, subscription, protocol, on_ending)

        *others, last = self._protocols
        for protocol in others:
            try:
                return await stack.enter_async_context(connection(protocol))
            except VersionRefused as error:
                _log.debug("another version is tried", session=session, protocol=protocol.name, reason=str(error))
        return await stack.enter_async_context(connection(last))

    def _connection(
        self,
        session: str,
        subscription: Subscription | None,
        protocol: aiomqtt.ProtocolVersion,
        on_ending: Callable[[], None],
    ) -> Connection:
        secret = self._settings.mqtt_password
        return Connection(
            self._settings.mqtt_host,
            self._settings.mqtt_port,
            inbox=Inbox(2 * subscription.max_batch, subscription.bytes_pending) if subscription else None,
            on_ending=on_ending,
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
