"""Ingest as a process of its own, on a broker of its own, with a catalog in SQLite; and databases with its tables."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from buses import running
from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.settings import SqlSettings
from caudal.ingest.main import VERSION_TABLE
from ears import Ears, ingest_settings
from servers.mosquitto import Mosquitto
from servers.postgres import Postgres
from servers.service import Service


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker of this module's own: ingest's shared subscriptions outlive its process."""
    with Mosquitto(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def ingest(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Ingest, running."""
    folder = tmp_path_factory.mktemp("ingest")
    with Service(folder, "ingest", ingest_settings(broker.port, folder)) as service:
        yield service


@pytest.fixture
async def ears(broker: Mosquitto) -> AsyncIterator[Ears]:
    """Connected for the length of a test."""
    heard = Ears(broker.port)
    async with running(heard.bus):
        yield heard


@pytest.fixture(params=["sqlite", "postgres"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A database with ingest's tables; each of both kinds."""
    url = f"sqlite+aiosqlite:///{tmp_path}/caudal.db"
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.database()
    engine = open_engine(SqlSettings(database_url=url))
    await migrate(engine, "caudal.ingest", VERSION_TABLE)
    yield engine
    await engine.dispose()
