"""A round of asking providers, measured: many points of one provider that takes its time with every answer.

Real Mosquitto and PostgreSQL; the provider is a server on loopback, a process of its own, that waits before it answers.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
import sqlalchemy as sa
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from buses import running, settings
from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.adapters.sql import migrate, open_engine, transaction
from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.domain.catalog import PointSource, Rules
from caudal.common.ports import Delivery, Subscription
from caudal.common.settings import ServiceSettings, SqlSettings
from caudal.gateway_api.adapters.tables import points, providers
from caudal.gateway_api.main import VERSION_TABLE as GATEWAY_TABLE
from caudal.ingest.adapters.metrics import PrometheusTally
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.adapters.providers.websocket import WebsocketFeeds
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.main import VERSION_TABLE, polling_of
from caudal.ingest.settings import IngestSettings
from servers.mosquitto import Mosquitto
from servers.postgres import Postgres

NOW = datetime.now(UTC)
PROVIDER = "bench"
ROWS = 6
"""In an answer: an hour at one every ten minutes."""


def serve(delay_s: float, told: Connection) -> None:
    """Answer every question after `delay_s`, until killed."""

    async def answer(_request: web.Request) -> web.Response:
        await asyncio.sleep(delay_s)
        at = datetime.now(UTC)
        rows = [{"at": (at - timedelta(minutes=10 * n)).isoformat(), "flow": n} for n in range(ROWS)]
        return web.json_response(rows)

    async def run() -> None:
        app = web.Application()
        app.add_routes([web.get("/{device}", answer)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        told.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(run())


async def fill(url: str, port: int, count: int) -> None:
    """Tables, the provider, and `count` points of it."""
    engine = open_engine(SqlSettings(database_url=url))
    await migrate(engine, "caudal.gateway_api", GATEWAY_TABLE)
    await migrate(engine, "caudal.ingest", VERSION_TABLE)
    connection = {"base_url": f"http://127.0.0.1:{port}", "path": "/{remote_id}", "paging": "none"}
    entry = {"time": {"path": "at", "format": "rfc3339"}, "span_hours": 48}
    kept: dict[str, Any] = {"created_at": NOW, "updated_at": NOW, "name": "", "time_zone": "UTC"}
    provider = kept | {
        "code": PROVIDER, "type": "HTTP_API", "api": "generic", "authentication": "{}", "mapping": '"caudal"',
        "connection": msgspec.json.encode(connection | entry).decode(), "active": True, "testing": False,
    }  # fmt: skip
    rows = [
        kept | {
            "code": f"p-{n}", "device": f"d-{n}", "provider": PROVIDER, "type": "WELL", "status": "ACTIVE",
            "sampling_minutes": 60.0, "rules": msgspec.json.encode(Rules()).decode(),
            "source": msgspec.json.encode(PointSource(remote_id=f"r-{n}", keys={"flow": "flow"})).decode(),
        }
        for n in range(count)
    ]  # fmt: skip
    async with transaction(engine) as database:
        await database.execute(sa.insert(providers), [provider])
        await database.execute(sa.insert(points), rows)
    await engine.dispose()


async def measure(url: str, mqtt_port: int, folder: Path, requests_per_s: float) -> dict[str, Any]:
    """One round."""
    engine, clock = open_engine(SqlSettings(database_url=url)), SystemClock()
    given = IngestSettings(polling_networks=("127.0.0.0/8",), polling_requests_per_s=requests_per_s)
    bus, heard = MqttBus(settings(mqtt_port), "bench"), 0

    async def hear(deliveries: Any) -> None:
        nonlocal heard
        heard += len(deliveries)
        assert isinstance(deliveries[0], Delivery)

    bus.subscribe(Subscription(("telemetry/+/raw",), hear))
    accepting = Accepting(SqlCatalog(engine), bus, clock, PrometheusTally(CollectorRegistry()))
    http = open_http(given.polling_networks, 1000)
    feeds = WebsocketFeeds(given.polling_networks, 1)
    polling, _ = polling_of(given, ServiceSettings(data_dir=folder), engine, http, feeds, accepting, bus, clock)
    async with running(bus), http:
        begun, cpu = time.perf_counter(), time.process_time()
        done = await polling.round(timedelta(seconds=1))
        seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    await engine.dispose()
    assert done is not None
    return {
        "points": done.points, "failed": done.failed, "readings": done.readings, "seconds": round(seconds, 2),
        "cpu_ms_per_point": round(used / done.points * 1000, 2), "bundles_heard": heard,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--requests-per-s", type=float, default=50.0, help="as CAUDAL_POLLING_REQUESTS_PER_S")
    asked = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    provider = multiprocessing.Process(target=serve, args=(asked.delay_ms / 1000, theirs), daemon=True)
    provider.start()
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            mosquitto = stack.enter_context(Mosquitto(folder / "mosquitto"))
            url = stack.enter_context(Postgres(folder / "postgres")).database()
            asyncio.run(fill(url, ours.recv(), asked.points))
            print(f"{asked.points} points at {asked.delay_ms:g} ms each, {asked.requests_per_s:g} requests/s at most")
            for name, figure in uvloop.run(measure(url, mosquitto.port, folder, asked.requests_per_s)).items():
                print(f"  {name.replace('_', ' ')}: {figure}")
    finally:
        provider.kill()


if __name__ == "__main__":
    main()
