"""What the ledger has of a window, asked by time of receipt."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.domain.errors import Transient
from caudal.common.domain.readings import Inlet
from caudal.common.settings import SqlSettings
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.ingest.adapters.sql_progress import SqlWindowProgress
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk, keep

AT = datetime(2026, 3, 2, 10, 0, 0, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = open_engine(SqlSettings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"))
    yield made
    await made.dispose()


async def test_a_window_is_taken_up_to_its_last_reading_and_apart_from_others(engine: AsyncEngine) -> None:
    await migrate(engine, "caudal.processor", "alembic_version_processor")
    reading = RawReading(measured_at=AT, received_at=AT, values={"flow": 1})
    bundle = RawReadings(device="meter", inlet=Inlet.WINDOW, window="w1", readings=[reading])
    async with aclosing(SqlLedger(engine)) as ledger:
        await keep(Desk(ledger, MemoryCatalog([])), [bundle])
    progress = SqlWindowProgress(engine)
    assert await progress.has_taken("w1", AT)
    assert not await progress.has_taken("w1", AT + TICK)
    assert not await progress.has_taken("w2", AT)


async def test_a_ledger_that_is_not_there_yet_may_be_asked_again(engine: AsyncEngine) -> None:
    with pytest.raises(Transient):
        await SqlWindowProgress(engine).has_taken("w1", AT)
