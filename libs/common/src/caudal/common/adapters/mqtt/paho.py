"""paho's client with its hot paths shortened: what it does per message costs three times what we do with it.

Measured on one core, 300-byte messages, MQTT 5: consuming 46 µs a message, publishing 36 µs before; docs/decisions/0002
has the figures after. Everything else (connecting, TLS, keep-alive, subscribing) is paho's own.
"""

import socket
from collections.abc import Callable
from typing import Literal

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode

from caudal.common.ports import Delivery, Outgoing

READ_BYTES = 65536
"""Read from the socket at once; paho asks for one byte, one byte, and the rest."""
WRITE_BYTES = 65536
"""Packets are joined up to this size and written at once; paho writes each by itself."""
QUICK_ACKNOWLEDGEMENT = getattr(socket, "TCP_QUICKACK", socket.TCP_NODELAY)
"""Linux alone has it; elsewhere an option that is set already."""


class LeanPaho(paho.Client):
    """A client whose PUBLISH and PUBACK packets skip paho's properties, message objects, locks and callbacks."""

    _deliver: Callable[[int, int, Delivery], None]
    _acknowledged: Callable[[int, int], None]
    _goes_on: Callable[[], bool]
    _ahead: bytes
    _at: int

    @classmethod
    def made_of(
        cls,
        client: paho.Client,
        deliver: Callable[[int, int, Delivery], None],
        acknowledged: Callable[[int, int], None],
        goes_on: Callable[[], bool] = lambda: True,
    ) -> "LeanPaho":
        """`client`, which aiomqtt made by itself, turned into one of these before it connects.

        It calls `deliver(mid, qos, delivery)` for what comes and acknowledges nothing by itself; for what it sent it
        calls `acknowledged(mid, reason)`. It stops reading when `goes_on()` is false.
        """
        client.__class__ = cls
        assert isinstance(client, cls)
        client._deliver = deliver
        client._acknowledged = acknowledged
        client._goes_on = goes_on
        client._ahead = b""
        client._at = 0
        client.disable_logger()
        return client

    @property
    def has_read_ahead(self) -> bool:
        """Whether there is something to handle that the event loop cannot see."""
        return self._at < len(self._ahead)

    def acknowledge(self, mids: list[int]) -> None:
        """Send PUBACK for these, in this order, at once: what is committed but unacknowledged comes twice."""
        if mids:
            self._out_packet.append(_packet(b"".join(b"\x40\x02" + mid.to_bytes(2) for mid in mids)))
            self.loop_write()

    def send(self, message: Outgoing) -> int | None:
        """Send one PUBLISH with QoS 1; its packet identifier, or None if the connection is gone."""
        if self._sock is None:
            return None
        topic = message.topic.encode()
        mid = self._mid_generate()
        properties = b"\0" if self._protocol == paho.MQTTv5 else b""
        packet = bytearray((paho.PUBLISH | 2 | message.retain,))
        self._pack_remaining_length(packet, 4 + len(topic) + len(properties) + len(message.payload))
        packet += b"".join((len(topic).to_bytes(2), topic, mid.to_bytes(2), properties, message.payload))
        self._packet_queue(paho.PUBLISH, packet, mid, 1)
        return mid

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._ahead):
            self._read_ahead()
        start = self._at
        self._at += bufsize
        return self._ahead[start : self._at]

    def _read_ahead(self) -> None:
        self._ahead = super()._sock_recv(READ_BYTES)
        self._at = 0
        if self._protocol != paho.MQTTv5 and isinstance(self._sock, socket.socket):
            # iotcore, which knows no MQTT 5, leaves Nagle's algorithm on: its next PUBACKs wait for our TCP to
            # acknowledge these. Linux forgets the option at each read.
            self._sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACKNOWLEDGEMENT, 1)

    def _packet_read(self) -> MQTTErrorCode:
        """Handle the packets that were read ahead; what is of another kind, or not all there yet, is left to paho."""
        if not self._in_packet["command"]:
            if self._at >= len(self._ahead):
                try:
                    self._read_ahead()
                except BlockingIOError:
                    return paho.MQTT_ERR_AGAIN
                except OSError:
                    return paho.MQTT_ERR_CONN_LOST
            begun_at = self._at
            code = self._handle_read_ahead()
            if self._at > begun_at:
                self._last_bytes_received = paho.time_func()
                return code
        return super()._packet_read()

    def _handle_read_ahead(self) -> MQTTErrorCode:
        """Handle PUBLISH and PUBACK packets as long as there are whole ones."""
        ahead = self._ahead
        while self._goes_on():
            at = _end_of_header(ahead, self._at)
            kind = ahead[self._at] & 0xF0 if at else 0
            end = at + _remaining_length(ahead, self._at + 1, at)
            if kind not in (paho.PUBLISH, paho.PUBACK) or end > len(ahead):
                break
            command, self._at = ahead[self._at], end
            if kind == paho.PUBACK:
                self._answered(ahead[at:end])
            elif code := self._published(command, ahead[at:end]):
                return code
        return paho.MQTT_ERR_SUCCESS

    def _packet_write(self) -> MQTTErrorCode:
        if len(self._out_packet) > 1:
            self._join_packets()
        return super()._packet_write()

    def _join_packets(self) -> None:
        """Make one packet of those that wait; DISCONNECT stays alone, since paho acts on it once it is written."""
        joined = bytearray()
        while self._out_packet and len(joined) < WRITE_BYTES and self._out_packet[0]["command"] != paho.DISCONNECT:
            packet = self._out_packet.popleft()
            joined += packet["packet"][packet["pos"] :]
        if joined:
            self._out_packet.appendleft(_packet(joined))

    def _handle_publish(self) -> MQTTErrorCode:
        return self._published(self._in_packet["command"], self._in_packet["packet"])

    def _published(self, command: int, packet: bytes | bytearray) -> MQTTErrorCode:
        qos = command >> 1 & 3
        at = 2 + int.from_bytes(packet[:2])
        topic = packet[2:at].decode(errors="replace")
        mid = int.from_bytes(packet[at : at + 2]) if qos else 0
        at += 2 if qos else 0
        if self._protocol == paho.MQTTv5:
            at = _after_properties(packet, at)
        if qos > 1 or at > len(packet):
            return paho.MQTT_ERR_PROTOCOL
        self._deliver(mid, qos, Delivery(topic, bytes(packet[at:]), bool(command & 1)))
        return paho.MQTT_ERR_SUCCESS

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        self._answered(self._in_packet["packet"])
        return paho.MQTT_ERR_SUCCESS

    def _answered(self, packet: bytes | bytearray) -> None:
        self._acknowledged(int.from_bytes(packet[:2]), packet[2] if len(packet) > 2 else 0)


def _packet(content: bytes | bytearray) -> "paho._OutPacket":
    """Something to be written of which paho wants to hear nothing more."""
    size = len(content)
    return {"command": paho.PUBACK, "mid": 0, "qos": 1, "pos": 0, "to_process": size, "packet": content, "info": None}


def _end_of_header(ahead: bytes, at: int) -> int:
    """Where the packet that begins at `at` has its content; 0: its header is not all there, or malformed."""
    for i in range(at + 1, min(at + 5, len(ahead))):
        if ahead[i] < 128:
            return i + 1
    return 0


def _remaining_length(ahead: bytes, at: int, end: int) -> int:
    """The number of seven bits a byte, the lowest first, that stands from `at` to `end`."""
    length = 0
    for i in range(end - 1, at - 1, -1):
        length = length << 7 | ahead[i] & 127
    return length


def _after_properties(packet: bytes | bytearray, at: int) -> int:
    """Where the properties that begin at `at` with their length end; beyond the packet if they are malformed."""
    length = shift = 0
    for digit in packet[at : at + 4]:
        at += 1
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return at + length
    return len(packet) + 1
