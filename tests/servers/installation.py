"""Caudal as it runs in production: Mosquitto, PostgreSQL, InfluxDB 1.x, and our services as processes."""

import asyncio
import json
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.domain.catalog import Counter, Point, PulseMeter, Variable, VariableType
from caudal.common.settings import SqlSettings
from caudal.gateway_api.adapters.sql_catalog_store import SqlCatalogStore
from caudal.gateway_api.domain.permissions import EVERYWHERE
from caudal.gateway_api.main import VERSION_TABLE
from servers.influx import Influx1
from servers.mosquitto import Mosquitto
from servers.postgres import Postgres
from servers.process import Server
from servers.service import Service

LOGIN = "/api/auth/login"
ADMIN = {"email": "admin@caudal.local", "password": "only-for-tests"}


class Installation:
    """A broker of its own, a database in each of PostgreSQL and InfluxDB, services."""

    def __init__(self, folder: Path, postgres: Postgres, influx: Influx1, database_url: str) -> None:
        self.folder = folder
        self.postgres = postgres
        self.influx = influx
        self.database_url = database_url
        self.bucket = f"telemetry_{folder.name}"
        self.broker = Mosquitto(folder / "mosquitto")
        self.services: dict[str, Service] = {}
        self.restarts = 0
        self._token = ""

    @property
    def settings(self) -> dict[str, str]:
        """What its services find in their environment."""
        return {
            "CAUDAL_MQTT_PORT": str(self.broker.port),
            "CAUDAL_DATABASE_URL": self.database_url,
            "CAUDAL_DATA_DIR": str(self.folder / "data"),
            "CAUDAL_STORE": "influx",
            "INFLUX_API": "1",
            "CAUDAL_INFLUX_URL": self.influx.url,
            "CAUDAL_INFLUX_BUCKET": self.bucket,
            "CAUDAL_ADMIN_EMAIL": ADMIN["email"],
            "CAUDAL_ADMIN_PASSWORD": ADMIN["password"],
        }

    def start(self, *services: str) -> None:
        """Start the broker, and `add` these services."""
        self.broker.start()
        self.add(*services)

    def add(self, *services: str) -> None:
        """Start these services and wait until they are ready; `processor-2` is one of several processors."""
        for name in services:
            module, _, replica = name.partition("-")
            shared = {"CAUDAL_MQTT_SHARED": str(bool(replica))}
            self.services[name] = Service(
                self.folder / name, module, self.settings | shared, replica=replica and f"-{replica}"
            )
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.start, [self.services[name] for name in services]))

    def stop(self) -> None:
        """Stop what `start` started."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.stop, self.services.values()))
        self.broker.stop()

    def is_ready(self) -> bool:
        """Whether all services are."""
        return all(service.is_ready() for service in self.services.values())

    async def kill(self, server: Server) -> None:
        """kill -9 this instant, and start it again."""
        server.kill()
        await asyncio.to_thread(server.start)
        self.restarts += 1

    async def add_points(self, points: Sequence[Point]) -> None:
        """Write points into the catalog."""
        engine = open_engine(SqlSettings(database_url=self.database_url))
        try:
            async with SqlCatalogStore(engine).edit(EVERYWHERE) as edit:
                for point in points:
                    await edit.add_point(point, datetime.now(UTC))
        finally:
            await engine.dispose()

    def api(self, method: str, path: str, body: object = None) -> Any:
        """What gateway-api answers to the administrator.

        Raises:
            HTTPError: it refuses.
        """
        if not self._token and path != LOGIN:
            self._token = self.api("POST", LOGIN, ADMIN)["token"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.services['gateway_api'].port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    async def query(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows that PostgreSQL gives."""
        url = self.database_url.replace("postgresql+asyncpg", "postgresql")
        connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close(timeout=5)


async def make_tables(database_url: str) -> None:
    """Make the tables of all services."""
    engine = open_engine(SqlSettings(database_url=database_url))
    try:
        await migrate(engine, "caudal.processor", "alembic_version_processor")
        await migrate(engine, "caudal.gateway_api", VERSION_TABLE)
        await migrate(engine, "caudal.ingest", "alembic_version_ingest")
    finally:
        await engine.dispose()


def metered_point(device: str, **others: Any) -> Point:
    """A point with a meter of 0.1 pulses per litre (a pulse is 0.01 m³) and its flow; its code is `P-<device>`."""
    meter = Counter(meter=PulseMeter(pulses_per_liter=0.1))
    variables = (
        Variable(code="total", type=VariableType.TOTALIZER, counter=meter),
        Variable(code="flow", type=VariableType.FLOW),
    )
    return Point(code=f"P-{device}", device=device, sampling_minutes=1, variables=variables, **others)
