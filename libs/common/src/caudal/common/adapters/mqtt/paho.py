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
    _ahead: bytes
    _at: int

    @classmethod
    def made_of(
        cls,
        client: paho.Client,
        deliver: Callable[[int, int, Delivery], None],
        acknowledged: Callable[[int, int], None],
    ) -> "LeanPaho":
        """`client`, which aiomqtt made by itself, turned into one of these before it connects.

        It calls `deliver(mid, qos, delivery)` for what comes and acknowledges nothing by itself; for what it sent it
        calls `acknowledged(mid, reason)`.
        """
        client.__class__ = cls
        assert isinstance(client, cls)
        client._deliver = deliver
        client._acknowledged = acknowledged
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
            self._ahead = super()._sock_recv(READ_BYTES)
            self._at = 0
            if self._protocol != paho.MQTTv5 and isinstance(self._sock, socket.socket):
                # iotcore, which knows no MQTT 5, leaves Nagle's algorithm on: its next PUBACKs wait for our TCP to
                # acknowledge these. Linux forgets the option at each read.
                self._sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACKNOWLEDGEMENT, 1)
        start = self._at
        self._at += bufsize
        return self._ahead[start : self._at]

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
        command, packet = self._in_packet["command"], self._in_packet["packet"]
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
        packet = self._in_packet["packet"]
        self._acknowledged(int.from_bytes(packet[:2]), packet[2] if len(packet) > 2 else 0)
        return paho.MQTT_ERR_SUCCESS


def _packet(content: bytes | bytearray) -> "paho._OutPacket":
    """Something to be written of which paho wants to hear nothing more."""
    size = len(content)
    return {"command": paho.PUBACK, "mid": 0, "qos": 1, "pos": 0, "to_process": size, "packet": content, "info": None}


def _after_properties(packet: bytearray, at: int) -> int:
    """Where the properties that begin at `at` with their length end; beyond the packet if they are malformed."""
    length = shift = 0
    for digit in packet[at : at + 4]:
        at += 1
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return at + length
    return len(packet) + 1
