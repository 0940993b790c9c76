"""A processor's ports: a ledger in SQLite and in PostgreSQL, and the rest in memory."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.settings import SqlSettings
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.common.testing.memory_store import MemoryStore
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk
from caudal.processor.handlers.telling import Teller, bus_teller, store_teller
from integration.processor.well import NOW, Listener, point


@pytest.fixture(params=["sqlite", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite+aiosqlite:///{tmp_path}/ledger.db" if is_sqlite else request.getfixturevalue("postgres").database()
    engine = open_engine(SqlSettings(database_url=url))
    await migrate(engine, "caudal.processor", "alembic_version_processor")
    yield engine
    await engine.dispose()


@pytest.fixture
def catalog() -> MemoryCatalog:
    return MemoryCatalog([point()])


@pytest.fixture
async def ledger(engine: AsyncEngine) -> AsyncIterator[SqlLedger]:
    async with aclosing(SqlLedger(engine)) as ledger:
        yield ledger


@pytest.fixture
def desk(ledger: SqlLedger, catalog: MemoryCatalog) -> Desk:
    return Desk(ledger, catalog)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(timedelta(days=90), FakeClock(NOW))


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def to_bus(ledger: SqlLedger, listener: Listener) -> Teller:
    return bus_teller(ledger, listener, lambda: 0.0, lambda: listener.incarnation)


@pytest.fixture
def to_store(ledger: SqlLedger, store: MemoryStore) -> Teller:
    return store_teller(ledger, store, lambda: 0.0)
