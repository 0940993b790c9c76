"""Poison on every topic that ours listen to: kept with its reason, nothing restarts, what is behind it gets through."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiomqtt
import pytest

import poison
from buses import PATIENCE_S
from caudal.common.bus.codec import encode
from caudal.common.bus.messages import RawReading, RawReadings, Rejected
from caudal.common.domain.readings import Inlet
from figures import tell
from servers.installation import Installation, metered_point
from servers.service import Service

NOW = datetime.now(UTC).replace(microsecond=0)
BAD = {"uplink": poison.of_uplink(), "raw": poison.of_raw(), "rejected": poison.of_rejected()}


@pytest.fixture
async def started(site: Installation) -> Installation:
    """A site with points for `meter-uplink` and `meter-raw`, running."""
    await site.add_points([metered_point("meter-uplink"), metered_point("meter-raw")])
    await asyncio.to_thread(site.start, "ingest", "processor", "gateway_api")
    return site


def good(kind: str, number: int) -> tuple[str, bytes]:
    """What has to get through behind a bad message of this kind."""
    at = NOW - timedelta(hours=2) + timedelta(minutes=number)
    values = {"total": 100 + number}
    message: Any = {"measured_at": at.isoformat(), "values": values}
    if kind == "raw":
        readings = [RawReading(measured_at=at, received_at=NOW, values=values)]
        message = RawReadings(device="meter-raw", inlet=Inlet.UPLINK, readings=readings)
    elif kind == "rejected":
        message = Rejected(
            id=f"good-{number}", device="meter-rejected", received_at=NOW, inlet=Inlet.UPLINK, topic="x", reason="good"
        )
    return f"telemetry/meter-{kind}/{kind}", encode(message)


async def reasons(site: Installation) -> dict[str, str]:
    """Why what came from a device was rejected, by the device of the topic on which it came."""
    rows = await site.query("select topic, reason from processor_rejected where device <> 'meter-rejected'")
    return {row["topic"].split("/")[1]: row["reason"] for row in rows}


async def goods(site: Installation) -> tuple[int, ...]:
    """How many good messages of each kind have got through."""
    [row] = await site.query(
        "select (select count(*) from processor_rows where point = 'P-meter-uplink'),"
        " (select count(*) from processor_rows where point = 'P-meter-raw'),"
        " (select count(*) from processor_rejected where device = 'meter-rejected')"
    )
    return tuple(row)


def failures(service: Service) -> float:
    """How many parts of a service have failed so far."""
    lines = [line for line in service.metrics().splitlines() if line.startswith("caudal_part_failures_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_poison_on_every_topic_is_kept_with_its_reason_and_stops_nothing(started: Installation) -> None:
    begun = time.monotonic()
    async with aiomqtt.Client("127.0.0.1", started.broker.port) as device:
        for kind, payloads in BAD.items():
            for number, (name, payload) in enumerate(payloads.items()):
                await device.publish(f"telemetry/{name}/{kind}", payload, qos=1)
                await device.publish(*good(kind, number), qos=1)
    sent, through = {name for payloads in BAD.values() for name in payloads}, tuple(map(len, BAD.values()))
    deadline = begun + PATIENCE_S
    while (found := await reasons(started)).keys() != sent or await goods(started) != through:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    tell("poison", **{kind: len(payloads) for kind, payloads in BAD.items()}, seconds=time.monotonic() - begun)
    assert sent ^ found.keys() == set()
    assert await goods(started) == through
    assert all(found.values())
    assert [failures(started.services[name]) for name in ("ingest", "processor")] == [0, 0]
    assert await asyncio.to_thread(started.is_ready)


async def test_payload_rejected_for_its_mapping_becomes_a_reading_when_it_is_replayed(started: Installation) -> None:
    wrong = {"time": {"path": "when"}, "values": {"flow": {"path": "caudal"}}}
    right = {"time": {"path": "fecha"}, "values": {"flow": {"path": "caudal"}}}
    body = {"code": "P-odd", "device": "odd", "mapping": wrong, "variables": [{"code": "flow", "type": "flow"}]}
    await asyncio.to_thread(started.api, "POST", "/api/points/", body)
    payload = json.dumps({"fecha": "2026-03-02T10:00:00Z", "caudal": 1.25})
    async with aiomqtt.Client("127.0.0.1", started.broker.port) as device:
        await device.publish("telemetry/odd/uplink", payload, qos=1)
    [rejected] = await listed(started, "/api/telemetry/rejected/?device=odd")
    assert (rejected["payload"], rejected["replayed_at"]) == (payload, None)
    await asyncio.to_thread(started.api, "PATCH", "/api/points/P-odd", {"mapping": right})
    order = await asyncio.to_thread(started.api, "POST", f"/api/telemetry/rejected/{rejected['id']}/replay")
    [raw] = await listed(started, "/api/telemetry/raw/?device=odd")
    [kept] = await listed(started, "/api/telemetry/rejected/?device=odd")
    assert (raw["status"], raw["values"], order["state"]) == ("COMPLETED", {"flow": 1.25}, "done")
    assert kept["replayed_at"]


async def listed(site: Installation, path: str) -> list[dict[str, Any]]:
    """What is listed there, once there is something."""
    async with asyncio.timeout(20):
        while not (items := (await asyncio.to_thread(site.api, "GET", path))["items"]):
            await asyncio.sleep(0.1)
    return list(items)
