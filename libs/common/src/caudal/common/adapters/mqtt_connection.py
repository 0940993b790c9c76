"""One connection to the broker: the only place that reaches into aiomqtt and paho.

aiomqtt 2.5 acknowledges on arrival, has an unbounded queue, hides `session_present`, and waits out its timeout when a
broker closes before CONNACK. This subclass changes these four and nothing else; docs/decisions/0002 says why.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from caudal.common.adapters.mqtt_inbox import Arrival, Inbox
from caudal.common.adapters.mqtt_paho import LeanPaho
from caudal.common.domain.errors import Transient
from caudal.common.ports import Delivery, Outgoing

WINDOW = 100
"""Publishes in flight at most: fewer wait for the network, more only lengthen what is lost with a connection."""
PUBACK_TIMEOUT_S = 10.0
"""A broker that acknowledges nothing for so long is taken for dead."""
READS_AT_ONCE = 128
"""Packets handled before other tasks have their turn."""
LOST_RETRY_S = 0.3
"""When to publish again after a lost connection: most are back by then."""
UNSUPPORTED_VERSION = 132
"""The reason code, which paho gives for 3.1.1 as well."""
REFUSED = 128
"""Reason codes from here on are refusals."""

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
        self.loss = ""
        """Why it was lost."""
        self.session_present = False
        """Whether the broker remembers this session, with its subscriptions and what came meanwhile."""
        self._calls: dict[int, _Call] = {}
        self._room = asyncio.Event()
        self._answers = 0
        self._reading = True
        self._lean = LeanPaho.made_of(self._client, self._on_delivery, self._on_puback)

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
        self._lean.acknowledge([arrival.mid for arrival in arrivals if arrival.qos])
        self.inbox.settle(arrivals)
        if not self._reading and self.inbox.has_room:
            self._resume()

    def _on_delivery(self, mid: int, qos: int, delivery: Delivery) -> None:
        self.inbox.put(Arrival(mid, qos, delivery))
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
        """Handle all that has been read, within reason; paho itself handles one packet at a time."""
        try:
            for _ in range(READS_AT_ONCE):
                if not self._reading:
                    return
                self._client.loop_read()
                if not self._has_more():
                    return
            self._loop.call_soon(self._read)
        except Exception as error:  # noqa: BLE001 - paho lets the socket's and the parser's errors through
            self._lose(error)

    def _has_more(self) -> bool:
        """Whether there is something to read that the event loop cannot see."""
        sock = self._client.socket()
        return self._lean.has_read_ahead or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)

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
            mid = None if self.lost.is_set() else self._lean.send(message)
            if mid is None:
                raise Transient(f"the connection to the broker was lost: {self.loss}", LOST_RETRY_S)
            self._calls[mid] = call
        await self._answer(call.done)
        if call.refusal:
            raise Transient(f"the broker refused: {call.refusal}", retry_after_s=5.0)
        if call.missing:
            raise Transient(f"the connection was lost before the broker acknowledged all: {self.loss}", LOST_RETRY_S)

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

    def _on_puback(self, mid: int, reason: int) -> None:
        self._answers += 1
        call = self._calls.pop(mid, None)
        if len(self._calls) <= WINDOW // 2:
            self._room.set()
        if call is None:
            return
        if reason >= REFUSED:
            call.refusal = str(ReasonCode(PacketTypes.PUBACK, identifier=reason))
        call.missing -= 1
        if not call.missing:
            call.done.set()

    async def _answer(self, event: asyncio.Event) -> None:
        """Wait for acknowledgements; a broker that gives none is dropped, and with it all that is in flight."""
        while not event.is_set():
            answers = self._answers
            with suppress(TimeoutError):
                async with asyncio.timeout(PUBACK_TIMEOUT_S):
                    await event.wait()
            if self._answers == answers and not event.is_set():
                self.drop()
                raise Transient(f"the broker acknowledged nothing for {PUBACK_TIMEOUT_S:.0f} s")

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
        self.loss = str(disconnected.exception() or "disconnected")
        self.lost.set()
        self.inbox.close()
        self._room.set()
        for call in self._calls.values():
            call.done.set()
