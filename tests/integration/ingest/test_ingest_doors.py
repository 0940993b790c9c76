"""Every door of ingest, on a real broker."""

import json
from datetime import UTC, datetime

from buses import until
from caudal.common.bus.codec import encode, encode_msgpack
from caudal.common.bus.messages import ConfigChanged, Push
from caudal.common.domain.readings import Inlet
from ears import Ears
from servers.service import Service

TS = "2026-03-02T10:00:00Z"
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


async def test_uplink_in_json_and_messagepack(ingest: Service, ears: Ears) -> None:
    message = {"measured_at": TS, "values": {"total": 184230, "flow": 12.5}}
    await ears.say(("telemetry/D-json/uplink", encode(message)), ("telemetry/D-pack/uplink", encode_msgpack(message)))
    await until(lambda: bool(ears.readings("D-json") and ears.readings("D-pack")))
    for device in ("D-json", "D-pack"):
        (reading,) = ears.readings(device)
        assert (reading.measured_at, reading.values) == (AT, {"total": 184230, "flow": 12.5})
        assert json.loads(reading.payload) == message
    assert {bundle.inlet for bundle in ears.bundles()} == {Inlet.UPLINK}


async def test_uplink_is_read_by_its_points_mapping_and_zone(ingest: Service, ears: Ears) -> None:
    await ears.say(
        ("telemetry/D-mapped/uplink", encode({"fecha": "02/03/2026 07:00", "Q": "12,5"})),
        ("telemetry/D-claimed/uplink", encode({"ts": "2026-03-02T07:00:00", "values": {"flow": 1}})),
    )
    await until(lambda: bool(ears.readings("D-mapped") and ears.readings("D-claimed")))
    assert ears.readings("D-mapped")[0].values == {"flow": 12.5}
    assert ears.readings("D-mapped")[0].measured_at == ears.readings("D-claimed")[0].measured_at == AT


async def test_push_of_a_provider(ingest: Service, ears: Ears) -> None:
    data = [{"serial": "D-pushed", "t": TS, "q": 5}, {"serial": "D-pushed", "t": "later", "q": 6}]
    push = Push(id="1", provider="acme", received_at=datetime.now(UTC), content=json.dumps({"data": data}))
    await ears.say(("provider/acme/push", encode(push)))
    await until(lambda: bool(ears.readings("D-pushed") and ears.rejects("acme")))
    assert ears.bundles()[0].provider == "acme"
    assert ears.readings("D-pushed")[0].received_at == push.received_at
    assert (ears.rejects()[0].field, ears.rejects()[0].payload) == ("[1].t", push.content)


async def test_zigbee_state_and_what_is_none(ingest: Service, ears: Ears) -> None:
    await ears.say(
        ("zigbee2mqtt/bridge/state", b'{"state":"online","n":1}'),
        ("zigbee2mqtt/patio/temp/set", b'{"n":1}'),
        ("zigbee2mqtt/patio/temp", b'{"temperature":21.5,"linkquality":90}'),
    )
    await until(lambda: bool(ears.bundles()))
    (bundle,) = ears.bundles()
    assert bundle.device.startswith("patio_temp-")
    assert bundle.readings[0].values == {"temperature": 21.5, "linkquality": 90}
    assert 'caudal_ingest_dropped_total{reason="no reading"} 2.0' in ingest.metrics()


async def test_unreadable_uplink_is_rejected_whole_and_counted(ingest: Service, ears: Ears) -> None:
    await ears.say(("telemetry/D-bad/uplink", b'{"measured_at": '))
    await until(lambda: bool(ears.rejects("D-bad")))
    (reject,) = ears.rejects("D-bad")
    assert (reject.payload, reject.topic, reject.field) == ('{"measured_at": ', "telemetry/D-bad/uplink", "payload")
    assert 'caudal_ingest_rejected_total{inlet="uplink",reason="undecodable"}' in ingest.metrics()


async def test_changed_point_is_read_anew(ingest: Service, ears: Ears) -> None:
    import sqlite3

    database = ingest.settings["CAUDAL_DATABASE_URL"].partition("///")[2]
    payload = encode({"cuando": TS, "Q": 3})
    await ears.say(("telemetry/D-changes/uplink", payload))
    await until(lambda: bool(ears.rejects("D-changes")))
    mapping = encode({"time": {"path": "cuando"}, "values": {"flow": {"path": "Q"}}}).decode()
    with sqlite3.connect(database) as connection:
        connection.execute(
            "insert into catalog_points select 'P-9', 'D-changes', provider, type, status, name, time_zone,"
            " sampling_minutes, max_rows, ?, rules, source, null, null, null, null, null from catalog_points limit 1",
            (mapping,),
        )
    connection.close()
    changed = ConfigChanged(device="D-changes", point="P-9", changed_at=AT)
    await ears.say(("telemetry/D-changes/config", encode(changed)))

    async def replayed() -> bool:
        await ears.say((ears.rejects("D-changes")[0].topic, ears.rejects("D-changes")[0].payload.encode()))
        return bool(ears.readings("D-changes"))

    for _ in range(100):
        if await replayed():
            break
    await until(lambda: bool(ears.readings("D-changes")))
    assert ears.readings("D-changes")[0].values == {"flow": 3}


async def test_readiness_names_its_parts(ingest: Service) -> None:
    parts = ingest.readiness()["parts"]
    assert {"catalog", "bus", "windows"} <= set(parts)
