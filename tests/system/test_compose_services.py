"""Every service, started by the very command and environment that docker-compose.yml gives it, against real servers.

Only addresses are others: those of local servers in the place of containers.
"""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from composition import ROOT, composition, image_environment
from servers.deployed_mosquitto import DeployedMosquitto
from servers.influx import Influx1, Influx2, find_influxd
from servers.postgres import Postgres
from servers.process import Server
from servers.redis import Redis

SERVICES = ("ingest", "processor", "gateway-api")
DEVICE = "meter-1"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
WAIT_S = 60.0


class ComposedService(Server):
    """A service as its container would run it, with a clean environment."""

    start_timeout_s = 60.0

    def __init__(self, folder: Path, name: str, entry: Mapping[str, Any], addresses: Mapping[str, str]) -> None:
        super().__init__(folder)
        self.name = name
        self.entry = entry
        given = {**image_environment(), **entry["environment"]}
        own = {"CAUDAL_HEALTH_PORT": str(self.port)} | (
            {"CAUDAL_API_PORT": str(self.port)} if "CAUDAL_API_PORT" in given else {}
        )
        # What its container is not told it is not told here, except which InfluxDB stands in for that of the container.
        told = {name: address for name, address in addresses.items() if name in given or name == "INFLUX_API"}
        self.given = {**given, **told, **own, "PATH": PATH}

    def command(self) -> Sequence[str]:
        return [str(part) for part in self.entry["command"]]

    def environment(self) -> dict[str, str]:
        return self.given

    def run(self) -> None:
        """Run it to its end, which has to be a good one."""
        done = subprocess.run(
            self.command(), env=self.given, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def is_ready(self) -> bool:
        """What the image's health check says."""
        check = (ROOT / "Dockerfile").read_text().partition("HEALTHCHECK")[2].partition("CMD ")[2].splitlines()[0]
        return subprocess.run(json.loads(check), env=self.given, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return composition()["services"]


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("influx")
    if find_influxd("2"):
        with Influx2(folder) as server:
            yield {"CAUDAL_INFLUX_URL": server.url, "CAUDAL_INFLUX_TOKEN": server.token}
    else:
        with Influx1(folder) as server:
            yield {"CAUDAL_INFLUX_URL": server.url, "INFLUX_API": "1"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, composed: dict[str, Any]) -> Iterator[DeployedMosquitto]:
    server = DeployedMosquitto(tmp_path_factory.mktemp("mosquitto"), composed["mosquitto"]["environment"])
    with server:
        server.stop()
        server.add_account(DEVICE)
        yield server.start()


@pytest.fixture(scope="module")
def services(
    tmp_path_factory: pytest.TempPathFactory,
    composed: dict[str, Any],
    broker: DeployedMosquitto,
    postgres: Postgres,
    redis: Redis,
    influx: dict[str, str],
) -> Iterator[dict[str, ComposedService]]:
    shared = tmp_path_factory.mktemp("data")
    addresses = {
        "CAUDAL_MQTT_HOST": broker.host,
        "CAUDAL_MQTT_PORT": str(broker.port),
        "CAUDAL_DATABASE_URL": postgres.database(),
        "CAUDAL_DATA_DIR": str(shared),
        "CAUDAL_REDIS_URL": f"redis://{redis.host}:{redis.port}/0",
        **influx,
    }
    made = {name: ComposedService(shared / name, name, composed[name], addresses) for name in ("migrate", *SERVICES)}
    made.pop("migrate").run()
    try:
        for service in made.values():
            service.start()
        yield made
    finally:
        for service in made.values():
            service.stop()


def call(gateway: ComposedService, method: str, path: str, body: object = None, token: str = "") -> Any:
    request = urllib.request.Request(
        f"http://{gateway.host}:{gateway.port}{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        return json.load(answer)


def signed_in(gateway: ComposedService) -> str:
    """A token of the administrator."""
    admin = {name: gateway.given[f"CAUDAL_ADMIN_{name.upper()}"] for name in ("email", "password")}
    return str(call(gateway, "POST", "/api/auth/login", admin)["token"])


def test_every_service_becomes_ready(services: dict[str, ComposedService]) -> None:
    assert {name: service.is_ready() for name, service in services.items()} == dict.fromkeys(SERVICES, True)


async def test_a_reading_goes_all_the_way_with_the_accounts_that_are_shipped(
    services: dict[str, ComposedService], broker: DeployedMosquitto
) -> None:
    gateway = services["gateway-api"]
    token = signed_in(gateway)
    variable = {"code": "total", "type": "totalizer"}
    call(gateway, "POST", "/api/points/", {"code": "well-1", "device": DEVICE, "variables": [variable]}, token)
    at = "2026-01-02T03:00:00Z"
    async with broker.client(DEVICE) as device:
        payload = json.dumps({"measured_at": at, "values": {"total": 12.5}})
        await device.publish(f"telemetry/{DEVICE}/uplink", payload, qos=1)
    question = "/api/telemetry/data/?point=well-1&variables=total&from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z"
    async with asyncio.timeout(WAIT_S):
        while not (samples := call(gateway, "GET", question, token=token)["samples"]):
            await asyncio.sleep(0.1)
    assert samples == [{"at": at, "values": {"total": 12.5}}]


def test_the_gateway_sees_the_queue_that_ingest_works_on(services: dict[str, ComposedService]) -> None:
    gateway = services["gateway-api"]
    [queue] = call(gateway, "GET", "/api/admin/queues/", token=signed_in(gateway))["items"]
    assert (queue["name"], queue["clock"]) == ("caudal:ingest", "redis")


def waiting(gateway: ComposedService, token: str, kind: str) -> list[dict[str, Any]]:
    """What was rejected on this kind of topic and not replayed yet."""
    items = call(gateway, "GET", "/api/telemetry/rejected/?replayed=false", token=token)["items"]
    return [entry for entry in items if entry["topic"].endswith(f"/{kind}")]


@pytest.mark.parametrize(("kind", "sender"), [("uplink", DEVICE), ("raw", "ingest")])
async def test_what_was_rejected_is_replayed_with_the_accounts_that_are_shipped(
    services: dict[str, ComposedService], broker: DeployedMosquitto, kind: str, sender: str
) -> None:
    gateway = services["gateway-api"]
    token = signed_in(gateway)
    password = services[sender].given["CAUDAL_MQTT_PASSWORD"] if sender in services else None
    async with broker.client(sender, password) as client:
        await client.publish(f"telemetry/{DEVICE}/{kind}", b'{"nonsense', qos=1)
    async with asyncio.timeout(WAIT_S):
        while not (found := waiting(gateway, token, kind)):
            await asyncio.sleep(0.1)
    [rejected] = found
    order = call(gateway, "POST", f"/api/telemetry/rejected/{rejected['id']}/replay", token=token)
    assert (order["state"], order["detail"]) == ("done", {"found": True})
    assert gateway.is_ready()


def test_the_gateway_answers_on_the_port_that_compose_publishes(composed: dict[str, Any]) -> None:
    entry = composed["gateway-api"]
    (port,) = entry["ports"]
    target = port["target"] if isinstance(port, dict) else port.split(":")[-1].partition("/")[0]
    assert str(target) == entry["environment"]["CAUDAL_API_PORT"]
    assert entry["environment"]["CAUDAL_API_HOST"] == "0.0.0.0"
