"""The whole platform on a real InfluxDB of either kind: what devices send is what the API and the store say."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus import codec, topics
from caudal.common.ports import Outgoing
from caudal.common.settings import MqttSettings
from servers.influx import Influx1, Influx2, find_influxd
from servers.platform import DATABASE, Platform

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
RECENT = [NOW - timedelta(hours=hours) for hours in range(48, 0, -1)]
OLD = [NOW - timedelta(days=120, hours=hours) for hours in range(3)]


@pytest.fixture(params=[Influx1, Influx2])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    if request.param is Influx2 and find_influxd("2") is None:
        pytest.skip("needs InfluxDB 2")
    with Platform(tmp_path, influx=request.param) as platform:
        yield platform


async def send(platform: Platform, instants: list[datetime]) -> None:
    """A reading for each instant: as many pulses as minutes since the year began."""
    bus = MqttBus(MqttSettings(mqtt_port=platform.mosquitto.port), "device")
    running = asyncio.create_task(bus.run())
    await bus.connected()
    address = topics.TELEMETRY_UPLINK.address(device="meter-0")
    bodies = [{"measured_at": at, "values": {"total": pulses(at), "flow": 1.5}} for at in instants]
    await bus.publish([Outgoing(address, codec.encode(body)) for body in bodies])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def pulses(at: datetime) -> int:
    return int((at - datetime(2025, 1, 1, tzinfo=UTC)).total_seconds()) // 60


def told(platform: Platform) -> dict[datetime, float]:
    """What the API says of the total, m³."""
    query = f"point=point-0&variables=total&from={OLD[-1]:%Y-%m-%dT%H:%M:%SZ}&to={NOW:%Y-%m-%dT%H:%M:%SZ}"
    answer: dict[str, Any] = platform.api("GET", f"/api/telemetry/data/?{query}")
    return {datetime.fromisoformat(row["at"]): row["values"]["total"] for row in answer["samples"]}


def forget(influx: Influx1 | Influx2) -> None:
    """Drop the series, but not the archive."""
    if isinstance(influx, Influx1):
        influx.query("drop measurement telemetry", DATABASE)
        return
    everything = {"start": "1970-01-01T00:00:00Z", "stop": "2200-01-01T00:00:00Z"}
    url = f"{influx.url}/api/v2/delete?org={influx.org}&bucket={DATABASE}"
    headers = {**influx.headers, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(everything).encode(), headers), timeout=20):
        pass


def test_what_devices_send_is_in_the_series_and_again_after_a_rebuild(platform: Platform) -> None:
    late = [*RECENT[1::2], *OLD, *RECENT[0::2]]
    asyncio.run(send(platform, late))
    assert platform.stored_when(len(late)) == len(late)
    assert platform.influxql('select count("total") from telemetry', f"{DATABASE}_archive")[0]["values"][0][1] == 3
    expected = {at: pulses(at) / 10 for at in late}
    assert told(platform) == pytest.approx(expected)
    forget(platform.influx)
    assert len(told(platform)) == len(OLD)
    subprocess.run(
        [sys.executable, "-m", "caudal.processor", "rebuild-store", "--json"],
        env=platform.ingest.environment(),
        check=True,
        timeout=60,
    )
    assert told(platform) == pytest.approx(expected)
