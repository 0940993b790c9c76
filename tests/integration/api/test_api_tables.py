"""The tables that the migrations make are those that the code speaks to, on both databases; what was there stays."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from caudal.common.adapters.sql import open_engine
from caudal.common.settings import SqlSettings
from caudal.gateway_api.adapters.tables import metadata
from caudal.gateway_api.main import VERSION_TABLE


def differences(connection: sa.Connection) -> list[Any]:
    """What an automatic migration would change in our tables."""

    def ours(_item: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        return kind != "table" or name in metadata.tables

    context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": False})
    return compare_metadata(context, metadata)


async def test_migrations_make_the_tables_of_the_code(database_url: str) -> None:
    engine = open_engine(SqlSettings(database_url=database_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


BEFORE_CLIENTS = (
    "insert into providers (code, name, mapping, time_zone, active, created_at, updated_at)"
    " values ('acme', 'Acme', '{}', 'UTC', true, '2026-03-02T10:00:00.000000Z', '2026-03-02T10:00:00.000000Z')",
    "insert into points (code, device, provider, type, status, name, time_zone, sampling_minutes, rules, created_at,"
    " updated_at) values ('well-1', 'Meter-1', 'acme', 'WELL', 'ACTIVE', 'Pozo Ñ', 'UTC', 60, '{}',"
    " '2026-03-02T10:00:00.000000Z', '2026-03-02T10:00:00.000000Z')",
    "insert into variables (point, code, position, type, name, body) values ('well-1', 'Flow', 0, 'flow', '', '{}')",
)


def upgraded(connection: sa.Connection, revision: str) -> None:
    """The tables as one migration leaves them."""
    config = Config()
    config.set_main_option("script_location", str(files("caudal.gateway_api") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes |= {"version_table": VERSION_TABLE, "connection": connection}
    command.upgrade(config, revision)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_points_from_before_clients_keep_their_variables_and_are_found(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fresh = f"sqlite+aiosqlite:///{tmp_path}/fresh.db"
    url = fresh if kind == "sqlite" else request.getfixturevalue("postgres").database()
    engine = open_engine(SqlSettings(database_url=url))
    async with engine.begin() as connection:
        await connection.run_sync(upgraded, "0001")
        for statement in BEFORE_CLIENTS:
            await connection.execute(sa.text(statement.replace(":", "\\:")))
    async with engine.begin() as connection:
        await connection.run_sync(upgraded, "head")
    async with engine.connect() as connection:
        points = (await connection.execute(sa.text("select client, search_text from points"))).all()
        variables = (await connection.execute(sa.text("select search_text from variables"))).scalars().all()
    await engine.dispose()
    assert points == [(None, "well-1\npozo ñ\nmeter-1")]
    assert variables == ["flow\n\nwell-1"]
