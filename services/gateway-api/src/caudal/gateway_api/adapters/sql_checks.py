"""What can be seen of the database cheaply: the audit log's raw lines, migrations, and whether tables answer."""

from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import reading
from caudal.gateway_api.adapters.tables import audit_log, metadata

VIEWS = ("ledger_raw", "ledger_rejected", "ledger_readings", "ledger_flags", "window_rows")
"""What we read of the processor's."""


class SqlAuditChain:
    """The audit log's lines exactly as they are kept."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def lines(self, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        columns: list[Any] = list(audit_log.c)
        if self._engine.dialect.name == "sqlite":
            # As text: somebody may have written there what is no time.
            columns = [sa.type_coerce(c, sa.String).label("at") if c.name == "at" else c for c in columns]
        query = sa.select(*columns).where(audit_log.c.number > after).order_by(audit_log.c.number).limit(limit)
        async with reading(self._engine) as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


async def migrations(engine: AsyncEngine, package: str, version_table: str) -> tuple[str, str]:
    """Where the tables of a service are, and where its code wants them to be."""
    # Imported where it is used: the service itself needs it only when it migrates.
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    with as_file(files(package) / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts))
        config.set_main_option("path_separator", "os")
        wanted = ScriptDirectory.from_config(config).get_current_head() or ""
    async with reading(engine) as connection:
        there = await _there(connection)
        if version_table not in there:
            return "", wanted
        version = sa.column("version_num", sa.String)
        query = sa.select(version).select_from(sa.table(version_table))
        return str(await connection.scalar(query)), wanted


async def missing_tables(engine: AsyncEngine) -> list[str]:
    """Our tables, and views of others that we need, that are not there."""
    async with reading(engine) as connection:
        there = await _there(connection)
    return sorted({*metadata.tables, *VIEWS} - there)


async def _there(connection: AsyncConnection) -> set[str]:
    def names(sync: sa.Connection) -> set[str]:
        inspector = sa.inspect(sync)
        return {*inspector.get_table_names(), *inspector.get_view_names()}

    return await connection.run_sync(names)
