"""A database that is not as a command needs it: without tables, or with those of a newer program."""

from pathlib import Path

import pytest
from sqlalchemy import text

from caudal.common.adapters.sql import open_engine, transaction
from caudal.common.domain.errors import Permanent
from caudal.common.settings import SqlSettings
from caudal.gateway_api import commands
from caudal.processor import main as processor


@pytest.fixture(autouse=True)
def database_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path}/caudal.db"
    monkeypatch.setenv("CAUDAL_DATABASE_URL", url)
    monkeypatch.setenv("CAUDAL_STORE_PATH", str(tmp_path / "telemetry.db"))
    return url


async def test_without_tables_a_command_says_how_to_make_them() -> None:
    with pytest.raises(Permanent, match="caudal migrate"):
        await commands.new_client("a", "A")
    with pytest.raises(Permanent, match="caudal migrate"):
        await processor.rebuild_store(lambda _point, _rows: None)


async def test_tables_of_a_newer_program_are_left_alone_and_that_is_said(database_url: str) -> None:
    await processor.bring_up_to_date()
    engine = open_engine(SqlSettings(database_url=database_url))
    async with transaction(engine) as connection:
        await connection.execute(text(f"update {processor.VERSION_TABLE} set version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(Permanent, match="newer"):
        await processor.bring_up_to_date()
