"""One connection to the broker: the only place that reaches into aiomqtt and paho.

aiomqtt 2.5 acknowledges on arrival, has an unbounded queue, hides `session_present`, and waits out its timeout when a
broker closes before CONNACK. This subclass changes these four and nothing else; docs/decisions/0002 says why.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from caudal.common.adapters.mqtt_inbox import Arrival, Inbox
from caudal.common.domain.errors import Transient
from caudal.common.ports import Delivery, Outgoing

WINDOW = 100
"""Publishes in flight at most: fewer wait for the network, more only lengthen what is lost with a connection."""
PUBACK_TIMEOUT_S = 10.0
"""A broker that acknowledges nothing for so long is taken for dead."""
READS_AT_ONCE = 64
"""Packets read before other tasks have their turn."""
UNSUPPORTED_VERSION = 132
"""The reason code, which paho gives for 3.1.1 as well."""

_NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class VersionRefused(aiomqtt.MqttError):
    """The broker closed before CONNACK or said so: it does not know this version of MQTT, or is just going down."""


class _Call:
    """One `publish` on its way: how many acknowledgements it still waits for."""

    __slots__ = ("done", "missing", "refusal")

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.refusal: str | None = None
        self.done = asyncio.Event()


class Connection(aiomqtt.Client):
    """A connection that acknowledges only what it is told to, and stops reading while its inbox is full.

    Nothing survives it: arrivals that are unacknowledged when it is lost come again on the next one, publishes that
    are unacknowledged end in `Transient`. Acknowledging through a connection that is lost does nothing.
    """

    def __init__(self, host: str, port: int, *, inbox: Inbox, **options: Any) -> None:
        super().__init__(host, port, socket_options=(_NODELAY,), **options)
        self.inbox = inbox
        self.lost = asyncio.Event()
        self.session_present = False
        """Whether the broker remembers this session, with its subscriptions and what came meanwhile."""
        self._calls: dict[int, _Call] = {}
        self._room = asyncio.Event()
        self._reading = True
        self._arrived = 0
        self._client.manual_ack_set(True)
        self._client.max_inflight_messages_set(0)  # paho would scan all that is in flight at each PUBACK
        self._client.disable_logger()

    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()
        except BaseException:
            self.drop()
            raise
        self._disconnected.add_done_callback(self._on_lost)
        if self._client.socket() is None:  # lost between CONNACK and here, which aiomqtt forgets
            self._lose(aiomqtt.MqttError("the connection was lost at once"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self.drop()

    # ------------------------------------------------------------ consuming

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker that these are settled; call it in the order of arrival."""
        if self.lost.is_set():
            return
        for arrival in arrivals:
            self._client.ack(arrival.mid, arrival.qos)
        self.inbox.settle(arrivals)
        if not self._reading and self.inbox.has_room:
            self._resume()

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        delivery = Delivery(message.topic, bytes(message.payload), message.retain)
        self.inbox.put(Arrival(message.mid, message.qos, delivery))
        self._arrived += 1
        if self._reading and self.inbox.is_full:
            self._pause()

    def _pause(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            self._reading = False
            self._loop.remove_reader(sock.fileno())

    def _resume(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            self._reading = True
            self._loop.add_reader(sock.fileno(), self._read)
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        """Read as long as messages come, within reason; paho itself reads one at a time."""
        try:
            for _ in range(READS_AT_ONCE):
                if not self._reading:
                    return
                arrived = self._arrived
                self._client.loop_read()
                if self._arrived == arrived and not self._decrypted():
                    return
            if self._decrypted():
                self._loop.call_soon(self._read)
        except Exception as error:  # noqa: BLE001 - paho lets the socket's and the parser's errors through
            self._lose(error)

    def _decrypted(self) -> bool:
        """Whether TLS holds bytes that the event loop cannot see."""
        sock = self._client.socket()
        return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0

    # ------------------------------------------------------------ publishing

    async def publish_all(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order with QoS 1; return when all are acknowledged.

        Raises:
            Transient: the connection was lost, or the broker refused or did not answer; some may have been published.
        """
        if not messages:
            return
        call = _Call(len(messages))
        for message in messages:
            while len(self._calls) >= WINDOW and not self.lost.is_set():
                self._room.clear()
                await self._answer(self._room)
            if self.lost.is_set():
                raise Transient("the connection to the broker was lost")
            info = self._client.publish(message.topic, message.payload, 1, message.retain)
            if info.rc != paho.MQTT_ERR_SUCCESS:
                raise Transient(f"cannot publish: {paho.error_string(info.rc)}")
            self._calls[info.mid] = call
        await self._answer(call.done)
        if call.refusal:
            raise Transient(f"the broker refused: {call.refusal}", retry_after_s=5.0)
        if call.missing:
            raise Transient("the connection to the broker was lost before it acknowledged all")

    async def probe(self) -> None:
        """Return when the broker has answered anything at all; it is asked to subscribe us to nothing.

        Raises:
            aiomqtt.MqttError: it does not answer.
        """
        await self.subscribe("caudal/probe", qos=0)

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reason_codes: list[ReasonCode],
        properties: Properties | None = None,
    ) -> None:
        if mid in self._pending_subscribes:  # else nobody waits for it any more
            super()._on_subscribe(client, userdata, mid, reason_codes, properties)

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        call = self._calls.pop(mid, None)
        if len(self._calls) <= WINDOW // 2:
            self._room.set()
        if call is None:
            return
        if reason_code.is_failure:
            call.refusal = str(reason_code)
        call.missing -= 1
        if not call.missing:
            call.done.set()

    async def _answer(self, event: asyncio.Event) -> None:
        """Wait for acknowledgements; a broker that gives none is dropped, and with it all that is in flight."""
        try:
            async with asyncio.timeout(PUBACK_TIMEOUT_S):
                await event.wait()
        except TimeoutError:
            self.drop()
            raise Transient(f"the broker acknowledged nothing for {PUBACK_TIMEOUT_S:.0f} s") from None

    # ------------------------------------------------------------ the connection itself

    def drop(self) -> None:
        """Cut the connection without a word; the broker keeps the session."""
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            return
        if not self._reading:
            self._resume()  # the end of the stream has to be read to be noticed
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            self._lose(error)

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.session_present = flags.session_present
        if reason_code.value == UNSUPPORTED_VERSION and not self._connected.done():
            self._connected.set_exception(VersionRefused(str(reason_code)))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(VersionRefused("the broker closed the connection before CONNACK"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        super()._on_socket_open(client, userdata, sock)
        self._loop.call_soon_threadsafe(self._loop.add_reader, sock.fileno(), self._read)

    async def _misc_loop(self) -> None:
        while True:
            if not self._reading:
                self._client._ping_t = 0.0  # the answer to a ping waits behind what we do not read
            if self._client.loop_misc() != paho.MQTT_ERR_SUCCESS:
                return
            await asyncio.sleep(1)

    def _lose(self, error: Exception) -> None:
        if not self._disconnected.done():
            self._disconnected.set_exception(error)

    def _on_lost(self, disconnected: asyncio.Future[None]) -> None:
        disconnected.exception()  # seen; the next connection is tried in any case
        self.lost.set()
        self.inbox.close()
        self._room.set()
        for call in self._calls.values():
            call.done.set()
