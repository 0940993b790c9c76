"""One connection to the broker; with `paho`, the only place that reaches into the driver.

aiomqtt 2.5 acknowledges on arrival, has an unbounded queue, hides `session_present`, and waits out its timeout when a
broker closes before CONNACK. This subclass changes these four and nothing else; docs/decisions/0002 says why.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from caudal.common.adapters.mqtt.inbox import Arrival, Inbox
from caudal.common.adapters.mqtt.paho import LeanPaho
from caudal.common.adapters.mqtt.window import Window
from caudal.common.ports import Delivery

READS_AT_ONCE = 128
"""Packets handled before other tasks have their turn."""
UNSUPPORTED_VERSION = 132
"""The reason code, which paho gives for 3.1.1 as well."""

_NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class VersionRefused(aiomqtt.MqttError):
    """The broker closed before CONNACK or said so: it does not know this version of MQTT, or is just going down."""


class Connection(aiomqtt.Client):
    """A connection that acknowledges only what it is told to, and stops reading while its inbox is full.

    Nothing survives it: arrivals that are unacknowledged when it is lost come again on the next one, publishes that
    are unacknowledged end in `Transient`. Acknowledging through a connection that is lost does nothing.
    """

    def __init__(
        self, host: str, port: int, *, inbox: Inbox | None, on_ending: Callable[[], None], **options: Any
    ) -> None:
        super().__init__(host, port, socket_options=(_NODELAY,), **options)
        self.inbox = inbox or Inbox(1, 1)
        self.ending = asyncio.Event()
        """Set when it is lost or about to be left: nothing more should be begun with it."""
        self.loss: str | None = None
        """Why it was lost."""
        self.session_present = False
        """Whether the broker remembers this session, with its subscriptions and what came meanwhile."""
        self._on_ending = on_ending
        self._consumes = inbox is not None
        self._dialling = True
        self._reading = True
        self._lean = LeanPaho.made_of(self._client, self._on_delivery, self._on_puback, lambda: self._reading)
        self.window = Window(self._lean.send, self.drop)
        """Through which it publishes."""

    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()
        except BaseException:
            self._dialling = False
            self.drop("not connected")
            raise
        self._dialling = False
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
            self.drop("left")

    # ------------------------------------------------------------ consuming

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker that these are settled; call it in the order of arrival."""
        if self.loss is not None:
            return
        try:
            self._lean.acknowledge([arrival.mid for arrival in arrivals if arrival.qos])
        except Exception as error:  # noqa: BLE001 - paho lets the socket's errors through
            self._lose(error)
        self.inbox.settle(arrivals)
        if not self._reading and self.inbox.has_room:
            self._resume()

    def leave(self) -> None:
        """Hand out nothing more; what is in hand can still be acknowledged, the rest comes again another time."""
        self.ending.set()
        self.inbox.close()
        self._on_ending()

    def _on_delivery(self, mid: int, qos: int, delivery: Delivery) -> None:
        if self.ending.is_set() or not self._consumes:
            return
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
                if not self._reading or self._client.socket() is None:
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

    # ------------------------------------------------------------ the connection itself

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

    def drop(self, reason: str) -> None:
        """Cut the connection without a word; the broker keeps the session."""
        self._end(reason)
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
        if self._dialling and not self._connected.done():
            self._connected.set_exception(VersionRefused("the broker closed the connection before CONNACK"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        super()._on_socket_open(client, userdata, sock)
        self._loop.call_soon_threadsafe(self._resume)

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._write_soon)

    def _write_soon(self) -> None:
        """Write once the socket takes it, unless it was closed since: its number may be another's by now."""
        sock = self._client.socket()
        if sock is not None:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - paho lets the socket's errors through
            self._lose(error)

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
        error = None if disconnected.cancelled() else disconnected.exception()
        self._end(str(error or "left"))

    def _end(self, reason: str) -> None:
        self.loss = self.loss or reason
        self.leave()
        self.window.lose(self.loss)
        for answer in self._pending_subscribes.values():
            if not answer.done():
                answer.set_exception(aiomqtt.MqttError(self.loss))

    def _on_puback(self, mid: int, code: int) -> None:
        self.window.answered(mid, code)
