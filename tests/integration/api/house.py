"""The API with everything behind it that is fast: a real database, and memory for the bus and the store."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import migrate, open_engine, transaction
from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.bus.codec import decode, encode
from caudal.common.bus.messages import Command, RawReading, RawReadings, Rejected, Result
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Delivery, Outgoing
from caudal.common.settings import SqlSettings
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.common.testing.memory_store import MemoryStore
from caudal.gateway_api.adapters.tables import sessions, users
from caudal.gateway_api.entrypoints.app import Bounds, create_app
from caudal.gateway_api.entrypoints.mqtt import answers, key_uses, progress
from caudal.gateway_api.main import VERSION_TABLE, House, furnish
from caudal.gateway_api.settings import GatewaySettings
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.handlers.telling import store_teller
from caudal.processor.handlers.upkeep import keep_rejected

Headers = dict[str, str] | dict[bytes, bytes]

NOW = datetime.fromisoformat("2026-03-02T10:00:00Z")
WELL: dict[str, Any] = {
    "code": "well-1",
    "device": "meter-1",
    "name": "Pozo Uno",
    "variables": [
        {"code": "total", "type": "totalizer", "counter": {"meter": {"pulses_per_liter": 0.1}}},
        {"code": "flow", "type": "flow"},
    ],
}

PATIENCE_S = 60.0
"""How long a database may take here: what is done when it is slow has tests of its own; a busy machine is none."""


async def migrate_all(url: str) -> None:
    """Make the tables of the services that share the database."""
    engine = open_engine(SqlSettings(database_url=url))
    try:
        await migrate(engine, "caudal.processor", "alembic_version_processor")
        await migrate(engine, "caudal.gateway_api", VERSION_TABLE)
        await migrate(engine, "caudal.ingest", "alembic_version_ingest")
    finally:
        await engine.dispose()


class Processor:
    """Takes the processor's place on the bus: answers commands as it is told to."""

    def __init__(self, bus: "AnsweringBus") -> None:
        self.commands: list[Command] = []
        self.answer: dict[str, Any] | None = {"readings": 3, "changed": 1}
        """Detail of what is answered; None: nothing is."""
        self.ok = True
        bus.processor = self

    def answer_to(self, message: Outgoing) -> Delivery | None:
        """The answer to a command, if it is one and there is to be one."""
        place, _, kind = message.topic.rpartition("/")
        if kind != "command":
            return None
        command = decode(message.payload, Command)
        self.commands.append(command)
        if self.answer is None:
            return None
        result = Result(id=command.id, ok=self.ok, detail=self.answer, timestamp=NOW)
        return Delivery(f"{place}/result", encode(result))


class AnsweringBus(MemoryBus):
    """A bus on which commands are answered at once."""

    processor: Processor | None = None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        await super().publish(messages)
        found = [self.processor.answer_to(message) for message in messages] if self.processor else []
        await self.deliver(*(delivery for delivery in found if delivery))


@dataclass
class ApiHouse:
    """The API under test, and the ways around it."""

    app: FastAPI
    house: House
    engine: AsyncEngine
    bus: AnsweringBus
    processor: Processor
    store: MemoryStore
    clock: FakeClock
    data_dir: Path
    client: httpx.AsyncClient
    """Nobody."""

    def as_(self, role: str) -> httpx.AsyncClient:
        """A client with a token of a user of this role."""
        token, _ = self.house.door.identity.tokens.issued(role, role)
        return self._client({"Authorization": f"Bearer {token}"})

    @property
    def admin(self) -> httpx.AsyncClient:
        """A client that may do everything."""
        return self.as_("admin")

    @property
    def reader(self) -> httpx.AsyncClient:
        """A client that may only look."""
        return self.as_("reader")

    @property
    def operator(self) -> httpx.AsyncClient:
        """A client that may do everything but say what roles may do."""
        return self.as_("operator")

    def with_key(self, key: str | bytes) -> httpx.AsyncClient:
        """A client with a provider's key."""
        return self._client({b"X-API-Key": key.encode() if isinstance(key, str) else key})

    def _client(self, headers: Headers) -> httpx.AsyncClient:
        return new_client(self.app, headers)

    async def add_user(self, **body: Any) -> str:
        """A user made through the API, who has logged in; its id, which `as_` takes."""
        answer = await self.admin.post("/api/users/", json=body)
        assert answer.status_code == 201, answer.text
        user = str(answer.json()["id"])
        async with transaction(self.engine) as connection:
            await connection.execute(sa.insert(sessions), [session_of(user)])
        return user

    async def add_point(self, **changes: Any) -> dict[str, Any]:
        """A point made through the API."""
        answer = await self.admin.post("/api/points/", json=WELL | changes)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def add_provider(self, code: str = "acme", **changes: Any) -> str:
        """A provider made through the API; a key of it."""
        answer = await self.admin.post("/api/providers/", json={"code": code} | changes)
        assert answer.status_code == 201, answer.text
        answer = await self.admin.post(f"/api/providers/{code}/keys/")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    async def keep(
        self,
        *readings: RawReading,
        device: str = "meter-1",
        inlet: Inlet = Inlet.UPLINK,
        window: str | None = None,
    ) -> None:
        """Let the processor take readings into the ledger and the store."""
        bundle = RawReadings(
            device=device,
            inlet=inlet,
            readings=list(readings),
            window=window,
            source_format="csv" if window else None,
        )
        async with aclosing(SqlLedger(self.engine)) as ledger:
            await keep(Desk(ledger, SqlCatalog(self.engine)), [bundle])
            teller = store_teller(ledger, self.store, time.monotonic)
            while await teller.step():
                pass

    async def reject(self, *rejected: Rejected) -> None:
        """Let the processor keep what could not be read."""
        async with aclosing(SqlLedger(self.engine)) as ledger:
            await keep_rejected(ledger, list(rejected))

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(sa.text(query))]


def new_client(app: FastAPI, headers: Headers | None = None) -> httpx.AsyncClient:
    """A client of the application, from an address of its own."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 40000))
    return httpx.AsyncClient(transport=transport, base_url="http://caudal.test", headers=headers)


def reading(at: datetime, *, received: timedelta = timedelta(0), **values: float) -> RawReading:
    """A raw reading, received `received` after it was measured."""
    payload = str(values)
    return RawReading(measured_at=at, received_at=at + received, values=dict(values), payload=payload)


@asynccontextmanager
async def furnished(url: str, data_dir: Path, bounds: Bounds | None = None, **settings: Any) -> AsyncIterator[ApiHouse]:
    """The API on a database that has its tables."""
    engine = open_engine(SqlSettings(database_url=url, database_timeout_s=PATIENCE_S))
    clock = FakeClock(NOW)
    bus = AnsweringBus()
    store = MemoryStore(timedelta(days=90), clock)
    defaults: dict[str, Any] = {
        "order_wait_s": 0.05,
        "window_wait_s": 0.05,
        "provider_test_wait_s": 0.05,
        "min_free_bytes": 0,
    }
    house = furnish(GatewaySettings(**(defaults | settings)), data_dir, 90, engine, store, bus, clock)
    bus.subscribe(answers(house.orders))
    bus.subscribe(progress(house.orders))
    bus.subscribe(key_uses(house.door.identity.keys))
    app = create_app(house.door, bounds or Bounds(), CollectorRegistry())
    await _add_users(engine)
    client = new_client(app)
    try:
        yield ApiHouse(app, house, engine, bus, Processor(bus), store, clock, data_dir, client)
    finally:
        await engine.dispose()


async def _add_users(engine: AsyncEngine) -> None:
    rows = [
        {
            "id": role,
            "email": f"{role}@caudal.test",
            "name": role,
            "password_hash": "",
            "role": role,
            "active": True,
            "created_at": NOW,
            "updated_at": NOW,
        }
        for role in ("admin", "operator", "reader")
    ]
    async with transaction(engine) as connection:
        await connection.execute(sa.insert(users), rows)
        await connection.execute(sa.insert(sessions), [session_of(row["id"]) for row in rows])


def session_of(user: str) -> dict[str, Any]:
    """A login that lasts as long as any test."""
    ends_at = NOW + timedelta(days=10_000)
    return {"id": user, "user": user, "agent": "", "created_at": NOW, "expires_at": ends_at}
