"""gateway-api as a process of its own, beside a real broker and a real database that freeze, go away and come back."""

import asyncio
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from buses import Box, running, settings, until
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import ConfigChanged, Push
from caudal.common.ports import Subscription
from figures import tell
from integration.api.house import WELL, migrate_all
from servers.mosquitto import Mosquitto
from servers.postgres import Postgres
from servers.service import Service

ADMIN = {"email": "admin@caudal.test", "password": "only-for-tests"}
ANSWERED_IN_S = 11.0
"""The client gives up after it: 10 s, whoever is frozen, and a second for a busy machine."""


class Gateway:
    """The service, and a client of it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", timeout=ANSWERED_IN_S)

    async def log_in(self) -> None:
        """Send the administrator's token from now on."""
        answer = await self.client.post("/api/auth/login", json=ADMIN)
        assert answer.status_code == 200, answer.text
        self.client.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    async def provider_key(self) -> str:
        """A key of a new provider."""
        assert (await self.client.post("/api/providers/", json={"code": "acme"})).status_code == 201
        return str((await self.client.post("/api/providers/acme/keys/")).json()["key"])


def environment(folder: Path, url: str, broker_port: int, **others: str) -> dict[str, str]:
    """What the service finds."""
    return {
        "CAUDAL_DATA_DIR": str(folder / "data"),
        "CAUDAL_STORE_PATH": str(folder / "data" / "telemetry.db"),
        "CAUDAL_DATABASE_URL": url,
        "CAUDAL_MQTT_PORT": str(broker_port),
        "CAUDAL_ADMIN_EMAIL": ADMIN["email"],
        "CAUDAL_ADMIN_PASSWORD": ADMIN["password"],
    } | others


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A PostgreSQL of this test's own, to be frozen and killed at will."""
    with Postgres(tmp_path / "postgres") as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, own_postgres: Postgres, own_mosquitto: Mosquitto) -> AsyncIterator[Gateway]:
    """The service on PostgreSQL, ready, with an administrator logged in."""
    url = own_postgres.database()
    await migrate_all(url)
    with Service(tmp_path / "gateway", "gateway_api", environment(tmp_path, url, own_mosquitto.port)) as service:
        found = Gateway(service)
        async with found.client:
            await found.log_in()
            yield found


def listener(port: int, topic_filter: str, box: Box) -> MqttBus:
    """Somebody who hears these topics, through outages too."""
    bus = MqttBus(settings(port), "listener")
    bus.subscribe(Subscription((topic_filter,), box.handle))
    return bus


async def test_change_committed_while_the_broker_was_away_is_told_after_kill_9(
    gateway: Gateway, own_mosquitto: Mosquitto
) -> None:
    own_mosquitto.stop()
    assert (await gateway.client.post("/api/points/", json=WELL)).status_code == 201
    gateway.service.kill()
    own_mosquitto.start()
    box = Box()
    async with running(listener(own_mosquitto.port, "telemetry/+/config", box)):
        assert not box.deliveries
        await asyncio.to_thread(gateway.service.start)
        await box.holds(1)
    told = decode(box.deliveries[0].payload, ConfigChanged)
    assert (told.device, told.point) == ("meter-1", "well-1")


def ids_by_name(box: Box) -> dict[str, set[str]]:
    """Under which ids each push was heard."""
    ids: dict[str, set[str]] = {}
    for delivery in box.deliveries:
        message = decode(delivery.payload, Push)
        ids.setdefault(json.loads(message.content)["n"], set()).add(message.id)
    return ids


async def test_no_acknowledged_push_is_lost_when_the_service_is_killed(
    gateway: Gateway, own_mosquitto: Mosquitto
) -> None:
    key = await gateway.provider_key()
    box = Box()
    acknowledged: dict[str, str] = {}
    enough = asyncio.Event()
    numbers = iter(range(10**6))

    async def push() -> None:
        while not enough.is_set():
            name = f"k{next(numbers)}"
            headers = {"X-API-Key": key, "Idempotency-Key": name}
            while name not in acknowledged:
                try:
                    answer = await gateway.client.post("/api/telemetry/uplink/acme", json={"n": name}, headers=headers)
                except httpx.HTTPError:
                    await asyncio.sleep(0.02)
                    continue
                if answer.status_code == 202:
                    acknowledged[name] = answer.json()["id"]

    chance = random.Random(7)
    async with running(listener(own_mosquitto.port, "provider/+/push", box)):
        pushing = [asyncio.create_task(push()) for _ in range(8)]
        for _ in range(3):
            await asyncio.sleep(chance.uniform(0.2, 0.6))
            gateway.service.kill()
            await asyncio.to_thread(gateway.service.start)
        await asyncio.sleep(0.2)
        enough.set()
        await asyncio.gather(*pushing)
        # Some are published twice, so that counting would not tell whether the last one has arrived.
        with suppress(TimeoutError):
            await until(lambda: all(id_ in ids_by_name(box).get(name, ()) for name, id_ in acknowledged.items()))
    ids = ids_by_name(box)
    lost = [name for name, answered in acknowledged.items() if answered not in ids.get(name, ())]
    published = len(box.deliveries)
    tell("kill -9 of gateway-api 3 times", acknowledged=len(acknowledged), published=published, lost=len(lost))
    assert lost == []
    # A repeated push may be published twice, always as the same push.
    assert all(len(found) == 1 for found in ids.values())


async def test_broker_that_freezes_costs_no_answer_more_than_ten_seconds(
    gateway: Gateway, own_mosquitto: Mosquitto
) -> None:
    key = await gateway.provider_key()
    own_mosquitto.freeze()
    try:
        pushed, added, read = await asyncio.gather(
            gateway.client.post("/api/telemetry/uplink/acme", json={}, headers={"X-API-Key": key}),
            gateway.client.post("/api/points/", json=WELL),
            gateway.client.get("/api/points/"),
        )
    finally:
        own_mosquitto.thaw()
    assert [answer.status_code for answer in (pushed, added, read)] == [503, 201, 200]
    assert int(pushed.headers["retry-after"]) >= 1


async def test_database_that_freezes_costs_no_answer_more_than_ten_seconds(
    gateway: Gateway, own_postgres: Postgres
) -> None:
    assert (await gateway.client.post("/api/points/", json=WELL)).status_code == 201
    own_postgres.freeze()
    try:
        answers = await asyncio.gather(
            gateway.client.get("/api/points/well-1"),
            gateway.client.get("/api/telemetry/summary/?point=well-1"),
            gateway.client.post("/api/auth/login", json=ADMIN),
        )
        assert [answer.status_code for answer in answers] == [503, 503, 503]
        assert (await gateway.client.get("/health/live")).status_code == 200
        assert (await gateway.client.get("/health/ready")).status_code == 503
    finally:
        own_postgres.thaw()
    await until(gateway.service.is_ready)
    assert (await gateway.client.get("/api/points/well-1")).status_code == 200


async def test_database_that_restarts_is_found_again(gateway: Gateway, own_postgres: Postgres) -> None:
    own_postgres.kill()
    answer = await gateway.client.get("/api/points/")
    assert answer.status_code == 503
    assert "the database is away" in answer.json()["error"]["message"]
    await asyncio.to_thread(own_postgres.start)
    await until(gateway.service.is_ready)
    assert (await gateway.client.get("/api/points/")).status_code == 200


class TestCommands:
    @staticmethod
    def run(settings_: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m caudal.gateway_api …`."""
        return subprocess.run(
            [sys.executable, "-m", "caudal.gateway_api", *arguments],
            env={**os.environ, **settings_},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_migrations_can_be_run_again(self, tmp_path: Path) -> None:
        found = environment(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/data/caudal.db", 1)
        for _ in range(2):
            assert self.run(found, "migrate").returncode == 0

    def test_users_and_clients_are_made_and_the_log_of_it_is_verified(self, sqlite_url: str, tmp_path: Path) -> None:
        found = {**environment(tmp_path, sqlite_url, 1), "CAUDAL_NEW_PASSWORD": "correct horse"}
        user = ("create-user", "--email", "ana@andes.cl", "--role", "client_admin", "--client", "andes", "--json")
        refused = self.run(found, *user)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "there is no client 'andes'" in refused.stderr
        assert self.run(found, "create-client", "--code", "andes", "--name", "Andes").returncode == 0
        assert '"client":"andes"' in self.run(found, *user).stdout
        verified = self.run(found, "verify", "--json")
        assert verified.returncode == 0, verified.stdout
        assert "2 lines" in verified.stdout

    def test_token_for_a_new_password_is_handed_out_from_a_shell(self, sqlite_url: str, tmp_path: Path) -> None:
        found = environment(tmp_path, sqlite_url, 1)
        with sqlite3.connect(sqlite_url.partition("///")[2]) as database:
            database.execute(
                "insert into users (id, email, name, password_hash, role, active, created_at, updated_at) values"
                " ('u', 'ana@andes.cl', '', '', 'reader', 1, '2026-03-02', '2026-03-02')"
            )
        database.close()
        reset = self.run(found, "reset-password", "--email", " Ana@andes.cl")
        assert re.match(r"[A-Za-z0-9_-]{43}\n", reset.stdout), reset.stderr
        assert "ana@andes.cl  token issued by console" in self.run(found, "list-resets").stdout

    def test_key_is_made_for_a_provider_that_is_there(self, sqlite_url: str, tmp_path: Path) -> None:
        found = environment(tmp_path, sqlite_url, 1)
        refused = self.run(found, "create-api-key", "acme")
        assert refused.returncode == 1
        assert "no provider 'acme'" in refused.stderr
        with sqlite3.connect(sqlite_url.partition("///")[2]) as database:
            database.execute(
                "insert into providers (code, name, type, connection, authentication, mapping, time_zone, active,"
                " testing, created_at, updated_at) values ('acme', '', 'HTTP_API', '{}', '{}', '\"caudal\"', 'UTC', 1,"
                " 0, '2026-03-02', '2026-03-02')"
            )
        database.close()
        made = self.run(found, "create-api-key", "acme", "--label", "plant")
        assert re.fullmatch(r"caudal_[A-Za-z0-9_-]{43}\n", made.stdout)

    async def test_first_password_is_told_once(self, sqlite_url: str, tmp_path: Path, mosquitto: Mosquitto) -> None:
        found = environment(tmp_path, sqlite_url, mosquitto.port, CAUDAL_MQTT_CLIENT_ID="first-password")
        found |= {"CAUDAL_ADMIN_PASSWORD": "", "CAUDAL_SIGNING_KEY": ""}
        with Service(tmp_path / "gateway", "gateway_api", found) as service:
            await asyncio.to_thread(service.stop)
            await asyncio.to_thread(service.start)
            (password,) = re.findall(r"password: (\S+)", service.log.read_text())
            gateway = Gateway(service)
            async with gateway.client:
                answer = await gateway.client.post("/api/auth/login", json=ADMIN | {"password": password})
                assert answer.status_code == 200
