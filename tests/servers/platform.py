"""The whole platform on real servers: Mosquitto, PostgreSQL, InfluxDB 1.x, gateway-api, ingest and processor.

Points are made through the API: `point-<n>` claims `meter-<n>`, with a pulse totalizer `total` and a flow `flow`.
"""

import asyncio
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

from servers.influx import Influx1, Influx2
from servers.installation import make_tables
from servers.mosquitto import Mosquitto
from servers.postgres import Postgres
from servers.service import Service

ADMIN = {"email": "admin@example.org", "password": "not-a-real-password"}
DATABASE = "telemetry"
VARIABLES: list[dict[str, Any]] = [
    {"code": "total", "type": "totalizer", "counter": {"meter": {"pulses_per_liter": 0.01}}},
    {"code": "flow", "type": "flow"},
]


class Platform:
    """Started as a whole; each server and service can be frozen, killed and started again."""

    def __init__(
        self, folder: Path, *, devices: int = 1, processors: int = 1, influx: type[Influx1 | Influx2] = Influx1
    ) -> None:
        self.folder = folder
        self.devices = devices
        self.mosquitto = Mosquitto(folder / "mosquitto")
        self.postgres = Postgres(folder / "postgres")
        self.influx = influx(folder / "influx")
        self.services: list[Service] = []
        self._processors = processors
        self._stack = ExitStack()
        self.token = ""

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for server in (self.mosquitto, self.postgres, self.influx):
                starting.enter_context(server)
            settings = self.settings()
            asyncio.run(make_tables(settings["CAUDAL_DATABASE_URL"]))
            self.gateway = Service(self.folder / "gateway", "gateway_api", settings)
            self.ingest = Service(self.folder / "ingest", "ingest", settings)
            self.processors = [
                Service(self.folder / f"processor{i}", "processor", settings, replica=f"-{i}" if i else "")
                for i in range(self._processors)
            ]
            self.services = [self.gateway, self.ingest, *self.processors]
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda service: service.start(), self.services))
            for service in self.services:
                starting.callback(service.stop)
            self._stack = starting.pop_all()
        self.token = self.api("POST", "/api/auth/login", ADMIN)["token"]
        for number in range(self.devices):
            self.add_point(number)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def settings(self) -> dict[str, str]:
        """The environment of our services."""
        return {
            "CAUDAL_MQTT_PORT": str(self.mosquitto.port),
            "CAUDAL_MQTT_SHARED": str(self._processors > 1),
            "CAUDAL_DATABASE_URL": self.postgres.database(),
            "CAUDAL_DATA_DIR": str(self.folder / "data"),
            "CAUDAL_STORE": "influx",
            "INFLUX_API": self.influx.api,
            "CAUDAL_INFLUX_URL": self.influx.url,
            "CAUDAL_INFLUX_ORG": Influx2.org,
            "CAUDAL_INFLUX_TOKEN": Influx2.token if self.influx.api == "2" else "",
            "CAUDAL_INFLUX_BUCKET": DATABASE,
            "CAUDAL_ADMIN_EMAIL": ADMIN["email"],
            "CAUDAL_ADMIN_PASSWORD": ADMIN["password"],
        }

    def add_point(self, number: int) -> None:
        """Let `point-<number>` claim `meter-<number>`."""
        body = {"code": f"point-{number}", "device": f"meter-{number}", "variables": VARIABLES}
        self.api("POST", "/api/points/", body)

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Ask gateway-api as the administrator.

        Raises:
            HTTPError: it refuses.
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.gateway.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def influxql(self, query: str, database: str = DATABASE) -> list[dict[str, Any]]:
        """The series that InfluxDB answers with."""
        result = json.loads(self.influx.query(query, database, epoch="u"))["results"][0]
        assert "error" not in result, result
        return list(result.get("series", []))

    def stored(self) -> int:
        """Readings in the series, main and archive."""
        counts = [
            self.influxql('select count("total") from telemetry', name) for name in (DATABASE, f"{DATABASE}_archive")
        ]
        return sum(int(series[0]["values"][0][1]) for series in counts if series)

    def stored_when(self, count: int, timeout_s: float = 60) -> int:
        """Readings in the series once they are `count`, or after the timeout."""
        deadline = monotonic() + timeout_s
        while (found := self.stored()) < count and monotonic() < deadline:
            sleep(0.2)
        return found

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of ingest and processors so far."""
        return {service.name: service.cpu_s() for service in (self.ingest, *self.processors)}

    def peak_memory_mb(self) -> dict[str, float]:
        """By service."""
        return {service.name: service.peak_memory_mb() for service in self.services}
