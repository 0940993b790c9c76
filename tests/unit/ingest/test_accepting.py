"""Payloads in, readings and rejects out: whatever comes is told on the bus before it is acknowledged."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from caudal.common.bus.codec import MAX_BUNDLE_BYTES, MAX_MESSAGE_BYTES, decode, encode, encode_msgpack
from caudal.common.bus.contents import packed
from caudal.common.bus.messages import Push, RawReadings, Rejected
from caudal.common.domain.catalog import Point, Provider, Version
from caudal.common.domain.errors import Transient
from caudal.common.domain.payloads.refusals import Refusal
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Delivery
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.ingest.entrypoints.uplink import Pace, push_of, putting_away, subscriptions, uplink_of
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.readers import UNCLAIMED

TS = "2026-03-02T10:00:00Z"
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


class Counts:
    """A tally that can be read."""

    def __init__(self) -> None:
        self.readings: Counter[Inlet] = Counter()
        self.rejects: Counter[Refusal] = Counter()
        self.drops: Counter[str] = Counter()

    def accepted(self, inlet: Inlet, readings: int) -> None:
        self.readings[inlet] += readings

    def rejected(self, inlet: Inlet, kind: Refusal) -> None:
        self.rejects[kind] += 1

    def dropped(self, reason: str) -> None:
        self.drops[reason] += 1


class House:
    """Ingest with a bus and a catalog in memory."""

    def __init__(self, *entries: Point | Provider) -> None:
        self.catalog = MemoryCatalog()
        self.catalog.put(*entries)
        self.bus = MemoryBus()
        self.clock = FakeClock()
        self.counts = Counts()
        self.forgotten: list[str] = []
        self.accepting = Accepting(self.catalog, self.bus, self.clock, self.counts)
        self.put_away = putting_away(self.accepting.accept)
        for subscription in subscriptions(
            self.accepting.accept, self.forgotten.append, self.counts, Pace(max_batch=1000)
        ):
            self.bus.subscribe(subscription)

    async def hears(self, topic: str, payload: object, retained: bool = False) -> None:
        """One message comes; plain data comes as JSON."""
        raw = payload if isinstance(payload, bytes) else encode(payload)
        await self.bus.deliver(Delivery(topic, raw, retained))

    @property
    def bundles(self) -> list[RawReadings]:
        return [decode(message.payload, RawReadings) for message in self.bus.on("telemetry/+/raw")]

    @property
    def rejects(self) -> list[Rejected]:
        return [decode(message.payload, Rejected) for message in self.bus.on("telemetry/+/rejected")]


async def test_uplink_becomes_a_reading_with_its_payload_as_it_came() -> None:
    house = House(Point(code="P1", device="D1"))
    payload = b'{"ts": "2026-03-02T10:00:00Z",   "values": {"total": 184230}}'
    await house.hears("telemetry/D1/uplink", payload)
    (bundle,) = house.bundles
    (reading,) = bundle.readings
    assert (bundle.device, bundle.inlet) == ("D1", Inlet.UPLINK)
    assert (reading.measured_at, reading.received_at, reading.values) == (AT, AT, {"total": 184230})
    assert reading.payload == payload.decode()
    assert house.counts.readings == {Inlet.UPLINK: 1}


async def test_messagepack_uplink_says_the_same_as_json() -> None:
    house = House()
    message = {"ts": TS, "values": {"total": 184230, "flow": 12.5, "bad": float("nan")}}
    await house.hears("telemetry/D1/uplink", encode_msgpack(message))
    (reading,) = house.bundles[0].readings
    assert reading.values == {"total": 184230, "flow": 12.5}
    assert set(reading.problems) == {"bad"}


async def test_uplinks_of_one_device_travel_together_in_their_order() -> None:
    house = House()
    deliveries = [
        Delivery(f"telemetry/D{number % 2}/uplink", encode({"ts": TS, "values": {"n": number}})) for number in range(6)
    ]
    await house.bus.deliver(*deliveries)
    values = {bundle.device: [reading.values["n"] for reading in bundle.readings] for bundle in house.bundles}
    assert values == {"D0": [0, 2, 4], "D1": [1, 3, 5]}


async def test_later_of_two_values_is_received_later_though_both_came_at_once() -> None:
    house = House()
    await house.bus.deliver(
        *(Delivery("telemetry/D1/uplink", encode({"ts": TS, "values": {"n": number}})) for number in (2, 1))
    )
    await house.hears("telemetry/D1/uplink", [{"ts": TS, "values": {"n": 0}}, {"ts": TS, "values": {"n": 5}}])
    received = [reading.received_at for bundle in house.bundles for reading in bundle.readings]
    assert received == sorted(set(received))
    assert len(received) == 4


async def test_unknown_device_is_kept_if_its_payload_is_canonical_or_flat() -> None:
    house = House()
    await house.hears("telemetry/new/uplink", {"measured_at": TS, "values": {"flow": 1}})
    await house.hears("telemetry/new/uplink", {"ts": 1772445600, "flow": 2})
    assert [bundle.readings[0].values["flow"] for bundle in house.bundles] == [1, 2]


@pytest.mark.parametrize("payload", [{"Q": 12.5, "fecha": "02/03/2026 07:00"}, {"when": TS, "values": [1, 2]}])
async def test_unknown_device_in_its_own_words_is_put_away_for_replay(payload: dict[str, Any]) -> None:
    house = House()
    await house.hears("telemetry/new/uplink", payload)
    (reject,) = house.rejects
    assert UNCLAIMED in reject.reason
    assert (reject.topic, reject.payload) == ("telemetry/new/uplink", encode(payload).decode())
    house.catalog.put(
        Point(
            code="P",
            device="new",
            time_zone="America/Santiago",
            mapping={
                "time": {"path": ["fecha", "when"], "format": "%d/%m/%Y %H:%M"} if "Q" in payload else {"path": "when"},
                "values": {"flow": {"path": ["Q", "values[1]"]}},
            },
        )
    )
    await house.hears(reject.topic, reject.payload.encode())
    assert house.bundles[0].readings[0].measured_at == AT


async def test_time_that_cannot_be_is_the_reason_also_for_an_unknown_device() -> None:
    house = House()
    await house.hears("telemetry/new/uplink", {"ts": "1970-01-01T00:03:00Z", "values": {"flow": 1}})
    assert (house.rejects[0].field, "before 2000" in house.rejects[0].reason) == ("ts", True)
    assert house.counts.rejects == {Refusal.TIME: 1}


async def test_one_bad_reading_of_a_bundle_costs_no_other_and_keeps_the_whole_for_replay() -> None:
    house = House()
    readings = [{"ts": TS, "values": {"n": number}} for number in range(10)]
    readings[4] = {"ts": "2026-03-02T10:06:00Z", "values": {"n": 4}}
    await house.hears("telemetry/D1/uplink", {"readings": readings})
    (reject,) = house.rejects
    assert [reading.values["n"] for reading in house.bundles[0].readings] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert reject.field == "[4].ts"
    assert "9 readings of this payload were accepted" in reject.reason
    assert msgspec.json.decode(reject.payload) == {"readings": readings}


async def test_a_payload_cannot_speak_for_another_device_than_its_topic() -> None:
    house = House()
    await house.hears("telemetry/D1/uplink", {"device": "D2", "ts": TS, "values": {"flow": 1}})
    assert [bundle.device for bundle in house.bundles] == ["D1"]


async def test_name_that_no_topic_can_carry_becomes_an_id() -> None:
    house = House()
    await house.hears("telemetry/pozo 7 (norte)/uplink", {"ts": TS, "values": {"flow": 1}})
    assert house.bundles[0].device.startswith("pozo_7_norte-")


async def test_large_bundle_is_cut_into_messages_that_fit() -> None:
    house = House()
    readings = [{"ts": TS, "note": "x" * 300, "values": {"n": number}} for number in range(600)]
    await house.hears("telemetry/D1/uplink", readings)
    messages = house.bus.on("telemetry/D1/raw")
    assert len(messages) > 2
    assert all(len(message.payload) <= MAX_BUNDLE_BYTES for message in messages)
    assert [r.values["n"] for bundle in house.bundles for r in bundle.readings] == list(range(600))


@pytest.mark.parametrize("filler", ["x", '"', "ñ", "\x01"])
async def test_reading_larger_than_a_bundle_loses_only_text_and_says_so(filler: str) -> None:
    house = House()
    await house.hears("telemetry/D1/uplink", {"ts": TS, "values": {"flow": 1}, "note": filler * 40_000})
    (message,) = house.bus.on("telemetry/D1/raw")
    assert len(message.payload) <= MAX_MESSAGE_BYTES
    (reading,) = house.bundles[0].readings
    assert reading.values == {"flow": 1}
    assert len(message.payload) <= MAX_BUNDLE_BYTES or "(cut: " in reading.payload


@pytest.mark.parametrize(
    "payload", [b"\xff" * 262_144, b"{" + b'"' * 262_143, b"[" + b"\x01" * 262_143, b"{" * 262_144]
)
async def test_unreadable_payload_of_any_kind_fits_a_message(payload: bytes) -> None:
    house = House()
    await house.hears("telemetry/D1/uplink", payload)
    (message,) = house.bus.on("telemetry/D1/rejected")
    assert len(message.payload) <= MAX_MESSAGE_BYTES
    assert "cut: " in house.rejects[0].reason


async def test_binary_payload_is_kept_as_base64_and_text_with_nul_too() -> None:
    house = House()
    for payload in (b"\xc1\xff", b"{\x00}"):
        await house.hears("telemetry/D1/uplink", payload)
    assert [(reject.payload, reject.payload_encoding) for reject in house.rejects] == [
        ("wf8=", "base64"),
        ("ewB9", "base64"),
    ]


async def test_same_delivery_told_twice_has_one_name_and_another_delivery_another() -> None:
    house = House()
    push = Push(id="1", provider="acme", received_at=AT, content="{")
    await house.hears("provider/acme/push", push)
    await house.hears("provider/acme/push", push)
    await house.hears("provider/acme/push", msgspec.structs.replace(push, received_at=AT + timedelta(seconds=1)))
    first, second, third = (reject.id for reject in house.rejects)
    assert first == second != third


# ---------------------------------------------------------------- pushes


def acme(**fields: Any) -> Provider:
    mapping = {"readings": "data", "device": "serial", "time": {"path": "t"}, "values": {"flow": {"path": "q"}}}
    return Provider(**{"code": "acme", "mapping": mapping, "time_zone": "America/Santiago", **fields})


def pushed(*readings: dict[str, Any]) -> Push:
    content = msgspec.json.encode({"data": readings}).decode()
    return Push(id="1", provider="acme", received_at=AT, content=content)


async def test_push_is_read_by_its_providers_mapping_and_zone() -> None:
    house = House(acme())
    await house.hears("provider/acme/push", pushed({"serial": "S1", "t": "2026-03-02T07:00:00", "q": 5}))
    (bundle,) = house.bundles
    assert (bundle.device, bundle.inlet, bundle.provider) == ("S1", Inlet.PUSH, "acme")
    assert bundle.readings[0].measured_at == AT


async def test_push_keeps_the_time_at_which_the_api_received_it() -> None:
    house = House(acme())
    house.clock.advance(hours=5)
    await house.hears("provider/acme/push", pushed(*({"serial": "S1", "t": TS, "q": n} for n in (1, 2))))
    assert [reading.received_at for reading in house.bundles[0].readings] == [AT, AT + timedelta(microseconds=1)]


async def test_push_for_no_device_or_for_anothers_device_is_put_away() -> None:
    house = House(acme(), Point(code="P2", device="S2", provider="other"), Point(code="P3", device="S3"))
    readings = [{"serial": serial, "t": TS, "q": 1} for serial in ("S1", "S2", "S3")]
    await house.hears("provider/acme/push", pushed(*readings, {"t": TS, "q": 1}))
    assert sorted(bundle.device for bundle in house.bundles) == ["S1", "S3"]
    (reject,) = house.rejects
    assert (reject.device, reject.provider) == ("acme", "acme")
    assert "'S2' is not a device of 'acme'" in reject.reason
    assert "does not say which device" in reject.reason


async def test_clients_provider_speaks_for_that_clients_points_alone() -> None:
    points = (Point(code="P1", device="S1", client="a"), Point(code="P2", device="S2", client="b"))
    house = House(acme(client="a"), *points, Point(code="P3", device="S3"))
    await house.hears("provider/acme/push", pushed(*({"serial": f"S{n}", "t": TS, "q": 1} for n in (1, 2, 3, 4))))
    assert sorted(bundle.device for bundle in house.bundles) == ["S1", "S4"]
    assert "'S2' is not a device of 'acme'" in house.rejects[0].reason
    assert "'S3' is not a device of 'acme'" in house.rejects[0].reason


@pytest.mark.parametrize(
    ("provider", "reason"),
    [(None, "not in the catalog"), (acme(active=False), "not active"), (acme(mapping={"form": "x"}), "'x'")],
)
async def test_push_that_no_mapping_can_read_is_put_away(provider: Provider | None, reason: str) -> None:
    house = House(*filter(None, [provider]))
    await house.hears("provider/acme/push", pushed({"serial": "S1", "t": TS, "q": 1}))
    assert reason in house.rejects[0].reason
    assert msgspec.json.decode(house.rejects[0].payload)["data"][0]["serial"] == "S1"


async def test_a_push_too_large_to_travel_plainly_is_unpacked() -> None:
    body = b'{"device": "m-1", "measured_at": "2026-03-02T10:00:00Z", "values": {"total": 5}}' + b" " * 100_000
    content, encoding = packed(body)
    push = Push(id="1", provider="acme", received_at=AT, content=content, encoding=encoding)
    assert encoding == "gzip"
    assert push_of(Delivery("provider/acme/push", encode(push))).payload == body


async def test_push_in_base64_and_a_broken_envelope() -> None:
    house = House(acme(mapping="caudal"))
    content = "gqJ0c7QyMDI2LTAzLTAyVDEwOjAwOjAwWqZ2YWx1ZXOBpGZsb3cB"
    await house.hears(
        "provider/acme/push", Push(id="1", provider="acme", received_at=AT, content=content, encoding="base64")
    )
    await house.hears(
        "provider/acme/push", Push(id="1", provider="acme", received_at=AT, content="%", encoding="base64")
    )
    await house.hears("provider/acme/push", b'{"id": 1}')
    assert "does not say which device" in house.rejects[0].reason
    assert [reject.field for reject in house.rejects[1:]] == ["content", "id"]


# ---------------------------------------------------------------- Zigbee2MQTT


async def test_zigbee_state_is_a_reading_of_its_device() -> None:
    house = House()
    await house.hears("zigbee2mqtt/patio/temp 1", {"temperature": 21.5, "linkquality": 90})
    (bundle,) = house.bundles
    assert bundle.device.startswith("patio_temp_1-")
    assert (bundle.readings[0].measured_at, bundle.readings[0].values["temperature"]) == (AT, 21.5)


async def test_zigbee_point_is_read_as_zigbee_unless_its_mapping_says_otherwise() -> None:
    house = House(
        Point(code="A", device="a"), Point(code="B", device="b", mapping={"values": {"f": {"convert": ["°C", "°F"]}}})
    )
    await house.hears("zigbee2mqtt/a", {"temperature": 21.5})
    await house.hears("zigbee2mqtt/b", {"f": 100})
    assert [bundle.readings[0].values for bundle in house.bundles] == [{"temperature": 21.5}, {"f": 212.0}]


@pytest.mark.parametrize(
    "topic", ["bridge/state", "bridge", "lamp/set", "lamp/get", "lamp/set/brightness", "a/b/availability"]
)
async def test_what_zigbee2mqtt_says_of_itself_is_no_reading(topic: str) -> None:
    house = House()
    await house.hears(f"zigbee2mqtt/{topic}", {"state": "online", "n": 1})
    assert not house.bus.published
    assert house.counts.drops == {"no reading": 1}


async def test_retained_state_counts_only_if_it_says_when() -> None:
    house = House()
    await house.hears("zigbee2mqtt/t", {"temperature": 1}, retained=True)
    await house.hears("zigbee2mqtt/t", {"temperature": 2, "last_seen": TS}, retained=True)
    assert [bundle.readings[0].values["temperature"] for bundle in house.bundles] == [2]
    assert house.counts.drops == {"retained without time": 1}


# ---------------------------------------------------------------- the bus, the catalog and poison


async def test_nothing_is_acknowledged_or_counted_while_the_bus_is_away() -> None:
    house = House()
    house.bus.away = True
    delivery = Delivery("telemetry/D1/uplink", encode({"ts": TS, "values": {"n": 1}}))
    with pytest.raises(Transient):
        await house.accepting.accept([uplink_of(delivery)])
    assert not house.counts.readings


async def test_mapping_that_cannot_be_used_puts_its_devices_payloads_away_with_the_field() -> None:
    house = House(Point(code="P1", device="D1", mapping={"time": {"format": "%Q"}}))
    await house.hears("telemetry/D1/uplink", {"ts": TS, "values": {"n": 1}})
    assert house.rejects[0].field == "mapping.time.format"
    house.catalog.put(Point(code="P1", device="D1"))
    await house.hears("telemetry/D1/uplink", house.rejects[0].payload.encode())
    assert house.bundles[0].readings[0].values == {"n": 1}


async def test_point_without_mapping_speaks_as_its_provider_does() -> None:
    house = House(acme(), Point(code="P1", device="D1", provider="acme", time_zone="UTC"))
    await house.hears("telemetry/D1/uplink", {"data": [{"t": "2026-03-02T10:00:00", "q": 5}]})
    assert house.bundles[0].readings[0].measured_at == AT


def moved(**fields: Any) -> Point:
    """A point whose device's clock was set from UTC to Santiago's time (UTC-3) on the 2nd at 9:00 UTC."""
    earlier = (Version(valid_until=AT.replace(hour=9), sampling_minutes=60, time_zone="UTC"),)
    return Point(code="P1", device="D1", time_zone="America/Santiago", earlier=earlier, **fields)


async def test_late_payload_is_read_by_the_zone_of_its_time() -> None:
    house = House(moved())
    for told in ("2026-03-01T10:00:00", "2026-03-02T07:00:00"):
        await house.hears("telemetry/D1/uplink", {"ts": told, "values": {"flow": 1}})
    before, after = (bundle.readings[0].measured_at for bundle in house.bundles)
    assert (before, after) == (AT - timedelta(days=1), AT)


async def test_replayed_reject_is_read_by_the_zone_of_its_time() -> None:
    house = House(moved(mapping={"time": {"path": "t"}, "values": {"flow": {"path": "q"}}}))
    payload = {"when": "2026-03-01T10:00:00", "q": 1}
    await house.hears("telemetry/D1/uplink", payload)
    house.catalog.put(moved(mapping={"time": {"path": "when"}, "values": {"flow": {"path": "q"}}}))
    (reject,) = house.rejects
    await house.hears(reject.topic, reject.payload.encode())
    assert house.bundles[0].readings[0].measured_at == AT - timedelta(days=1)


async def test_zone_of_the_mapping_and_that_of_who_pushes_come_before_those_of_the_point() -> None:
    house = House(acme(), moved(provider="acme", mapping={"time": {"path": "t", "zone": "America/Lima"}}))
    told = "2026-03-01T10:00:00"
    await house.hears("telemetry/D1/uplink", {"t": told, "q": 5})
    await house.hears("provider/acme/push", pushed({"serial": "D1", "t": told, "q": 5}))
    by_mapping, by_provider = (bundle.readings[0].measured_at for bundle in house.bundles)
    assert (by_mapping.hour, by_provider.hour) == (15, 13)


async def test_change_of_the_catalog_makes_ingest_forget_the_device() -> None:
    house = House()
    await house.hears("telemetry/D1/config", b"whatever it says")
    assert house.forgotten == ["D1"]


async def test_delivery_on_which_a_handler_fails_is_put_away_with_the_failure() -> None:
    house = House()
    await house.put_away(Delivery("telemetry/D1/uplink", b"\x00{}"), "ValueError: strange")
    await house.put_away(Delivery("provider/acme/push", b"{}"), "ValueError: strange")
    assert [(reject.device, reject.inlet, reject.reason) for reject in house.rejects] == [
        ("D1", Inlet.UPLINK, "ValueError: strange"),
        ("acme", Inlet.PUSH, "ValueError: strange"),
    ]
