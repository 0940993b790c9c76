"""The tables that the migrations make are those that the code speaks to, on both databases."""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from caudal.common.adapters.sql import open_engine
from caudal.common.settings import SqlSettings
from caudal.gateway_api.adapters.tables import metadata


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
