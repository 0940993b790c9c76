"""The shortened hot paths say and hear the same as paho's own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from caudal.common.adapters.mqtt.paho import LeanPaho
from caudal.common.ports import Delivery, Outgoing

versions = pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])
topics = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="+#\0"), min_size=1, max_size=40)


class FakeSocket:
    """A socket that hands out its input in pieces and keeps what is sent."""

    def __init__(self, coming: bytes = b"", piece: int = 1 << 20) -> None:
        self.coming = coming
        self.piece = piece
        self.sent = bytearray()
        self.takes = 1 << 20

    def recv(self, size: int) -> bytes:
        if not self.coming:
            raise BlockingIOError
        size = min(size, self.piece)
        head, self.coming = self.coming[:size], self.coming[size:]
        return head

    def send(self, content: bytes) -> int:
        if not self.takes:
            raise BlockingIOError
        taken = content[: self.takes]
        self.sent += taken
        self.takes -= len(taken)
        return len(taken)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """Nothing to close."""


class Ears:
    """A client that hears, and what it heard."""

    def __init__(self, protocol: int, sock: FakeSocket) -> None:
        self.deliveries: list[tuple[int, int, Delivery]] = []
        self.answers: list[tuple[int, int]] = []
        self.client = LeanPaho.made_of(
            plain_client(protocol, sock),
            lambda *heard: self.deliveries.append(heard),
            lambda *a: self.answers.append(a),
        )

    def read_all(self) -> int:
        """Read until nothing more comes; the last return code."""
        code = 0
        while not code and (self.client.has_read_ahead or getattr(self.client._sock, "coming", b"")):
            code = self.client.loop_read()
        return code


def plain_client(protocol: int, sock: FakeSocket) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, "x", protocol=protocol, reconnect_on_failure=False)
    client._sock = sock
    client.on_socket_register_write = lambda *_: None
    return client


def written_by_paho(protocol: int, publish: Any) -> bytes:
    """The bytes that paho's own client writes."""
    sock = FakeSocket()
    client = plain_client(protocol, sock)
    publish(client)
    client.loop_write()
    return bytes(sock.sent)


@versions
@given(
    messages=st.lists(st.tuples(topics, st.binary(max_size=300), st.booleans(), st.integers(0, 1)), max_size=8),
    piece=st.integers(1, 50),
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=150),
)
def test_publishes_are_heard_as_they_were_sent(
    protocol: int, messages: list[tuple[str, bytes, bool, int]], piece: int, text: str
) -> None:
    def publish(client: paho.Client) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = text
        properties.UserProperty = ("a", text)
        for topic, payload, retain, qos in messages:
            client.publish(topic, payload, qos, retain, properties if protocol == paho.MQTTv5 else None)

    ears = Ears(protocol, FakeSocket(written_by_paho(protocol, publish), piece))
    assert ears.read_all() == 0
    heard = [(delivery.topic, delivery.payload, delivery.retained, qos) for _, qos, delivery in ears.deliveries]
    assert heard == messages
    mids = [mid for mid, qos, _ in ears.deliveries if qos]
    assert mids == [number for number, message in enumerate(messages, 1) if message[3]]


@versions
@given(message=st.builds(Outgoing, topics, st.binary(max_size=300), st.booleans()))
def test_publishes_are_written_as_paho_writes_them(protocol: int, message: Outgoing) -> None:
    sock = FakeSocket()
    ears = Ears(protocol, sock)
    assert ears.client.send(message) == 1
    ears.client.loop_write()
    assert bytes(sock.sent) == written_by_paho(
        protocol, lambda client: client.publish(message.topic, message.payload, 1, message.retain)
    )


@versions
def test_acknowledgements_are_written_as_paho_writes_them_and_at_once(protocol: int) -> None:
    sock = FakeSocket()
    Ears(protocol, sock).client.acknowledge([1, 2, 65535])

    def acknowledge(client: paho.Client) -> None:
        client.manual_ack_set(True)
        for mid in (1, 2, 65535):
            client.ack(mid, 1)

    assert bytes(sock.sent) == written_by_paho(protocol, acknowledge)


@pytest.mark.parametrize(
    ("packet", "heard"),
    [(b"\x40\x02\x00\x07", (7, 0)), (b"\x40\x03\x00\x07\x87", (7, 0x87)), (b"\x40\x04\x00\x07\x10\x00", (7, 0x10))],
)
def test_puback_is_heard_with_its_reason(packet: bytes, heard: tuple[int, int]) -> None:
    ears = Ears(paho.MQTTv5, FakeSocket(packet, piece=1))
    assert ears.read_all() == 0
    assert ears.answers == [heard]


@pytest.mark.parametrize("takes", range(1, 60, 7))
def test_what_the_socket_does_not_take_is_sent_later_in_order(takes: int) -> None:
    whole, part = FakeSocket(), FakeSocket()
    for sock in (whole, part):
        client = Ears(paho.MQTTv5, sock).client
        part.takes = takes
        for number in range(3):
            client.send(Outgoing("topic/a", b"payload %d" % number))
        client.loop_write()
        client.acknowledge([5, 6])
        while client.want_write():
            part.takes += 5
            client.loop_write()
    assert part.sent == whole.sent


def test_disconnect_stays_the_last_word() -> None:
    sock = FakeSocket()
    client = Ears(paho.MQTTv311, sock).client
    client._state = paho._ConnectionState.MQTT_CS_CONNECTED
    client.send(Outgoing("a", b"1"))
    client.send(Outgoing("a", b"2"))
    client.disconnect()
    client.loop_write()
    assert bytes(sock.sent).endswith(b"\xe0\x00")
    assert client._sock is None, "paho acted on it"


@versions
@given(damage=st.binary(min_size=1, max_size=12))
def test_damaged_publish_is_a_protocol_error_and_never_another(protocol: int, damage: bytes) -> None:
    packet = b"\x32" + bytes([len(damage)]) + damage
    ears = Ears(protocol, FakeSocket(packet))
    code = ears.read_all()
    assert code in (0, paho.MQTT_ERR_PROTOCOL)
    assert len(ears.deliveries) == (code == 0)


def test_topic_that_is_no_text_is_heard_so_that_it_can_be_put_away() -> None:
    ears = Ears(paho.MQTTv311, FakeSocket(b"\x32\x07\x00\x02\xff\xfe\x00\x01x"))
    assert ears.read_all() == 0
    assert ears.deliveries == [(1, 1, Delivery("\ufffd\ufffd", b"x"))]
