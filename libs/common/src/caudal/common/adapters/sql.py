"""The SQL database: SQLite on one machine, PostgreSQL in production, spoken to in the same words.

Driver errors that mean "connection lost" come out as `Transient`, all others as they are: they are bugs.
"""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

import asyncpg
from sqlalchemy import Connection, column, event, inspect, select, table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import String, TypeDecorator, TypeEngine
from sqlalchemy.util import await_only

from caudal.common.adapters.sql_kept import KeptConnections
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.settings import SqlSettings

_LOST = (
    ConnectionError,
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    PoolTimeout,
    InterfaceError,
    OperationalError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
)
_LOST_STATES = re.compile(r"^(08|53|57P|40001|40P01|55P03)")
"""SQLSTATEs of lost connections, shortage, shutdown, serialization, deadlock and lock timeouts."""

_SQLITE_TRANSIENT = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: timestamptz in PostgreSQL, ISO text of fixed width (so that it sorts) in SQLite."""

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column type of this database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Aware datetime to the database's form."""
        if value is None or dialect.name == "postgresql":
            return value
        return sqlite_time(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The database's form to an aware datetime in UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else datetime.fromisoformat(value)


def sqlite_time(at: datetime) -> str:
    """`at` as SQLite keeps it: 2026-03-02T10:00:00.000000Z."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


_CLOSING_S = 2.0
"""What SQLAlchemy gives a connection that does not answer to close in order, after it has been given up."""


def open_engine(settings: SqlSettings) -> AsyncEngine:
    """An engine with timeouts on everything; the caller disposes of it."""
    url = make_url(settings.database_url)
    limit = max(1.0, settings.database_timeout_s - _CLOSING_S)
    if url.get_backend_name() == "sqlite":
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        # Statements that are run past SQLAlchemy's types write times the same way.
        sqlite3.register_adapter(datetime, sqlite_time)
        engine = create_async_engine(url, pool_pre_ping=False, connect_args={"timeout": limit})
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    engine = create_async_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=limit,
        pool_pre_ping=True,
        connect_args={"timeout": limit, "command_timeout": limit},
        execution_options={"patience_s": limit},
    )
    return _with_kept_connections(engine, settings.database_pool_size, limit)


def _with_kept_connections(engine: AsyncEngine, size: int, limit: float) -> AsyncEngine:
    """The engine with connections for questions beside its pool; to dispose of the one closes the other."""
    _, connect = engine.dialect.create_connect_args(engine.url)
    kept = KeptConnections(engine.dialect, {**connect, "timeout": limit, "command_timeout": limit}, size, limit)
    event.listen(engine.sync_engine, "engine_disposed", lambda _engine: await_only(kept.aclose()))
    engine.sync_engine.update_execution_options(kept=kept)
    return engine


def kept_connections(engine: AsyncEngine) -> KeptConnections | None:
    """What answers questions to this engine's database; None where it has none, as in SQLite."""
    return cast(KeptConnections | None, engine.get_execution_options().get("kept"))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Writers wait their turn at the start, where waiting works, not at the first write, where SQLite gives up."""
    reading = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that commits at the end and rolls back on any error.

    Raises:
        Transient: the database is away, frozen, or asks to try again.
    """
    with lost_connections():
        async with _connected(engine) as connection, connection.begin():
            yield connection


class HeldConnections:
    """Connections of PostgreSQL that are kept for hot paths, for the driver itself to run statements on.

    A transaction of two statements costs 0.13 ms of CPU where one on a connection from the pool, asked first whether
    it is alive, costs 0.9 ms (measured). A connection on which anything failed is thrown away, and with it the
    transaction; the next one opens another.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._free: list[tuple[AsyncConnection, asyncpg.Connection]] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection]]:
        """SQLAlchemy's connection, and the driver's; each statement is a transaction unless one is begun.

        Raises:
            Transient: as `transaction`.
        """
        with lost_connections():
            # To ask SQLAlchemy for the driver each time would cost as much as a statement.
            connection, driver = self._free.pop() if self._free else await self._opened()
            try:
                yield connection, driver
            except BaseException:
                await connection.invalidate()
                await connection.close()
                raise
            self._free.append((connection, driver))

    async def _opened(self) -> tuple[AsyncConnection, asyncpg.Connection]:
        connection = await self._engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.set_type_codec(
            "timestamptz", schema="pg_catalog", encoder=_since_2000, decoder=_after_2000, format="tuple"
        )
        return connection, driver

    async def aclose(self) -> None:
        """Give all connections back."""
        while self._free:
            await self._free.pop()[0].close()


# What asyncpg does itself takes 0.6 µs for each instant instead of 0.3 (measured).
_Y2K = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _since_2000(at: datetime) -> tuple[int]:
    """As PostgreSQL sends it."""
    return ((at - _Y2K) // _MICROSECOND,)


def _after_2000(microseconds: tuple[int]) -> datetime:
    return _Y2K + timedelta(microseconds=microseconds[0])


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection for queries only; in SQLite it never waits for a writer.

    Raises:
        Transient: as `transaction`.
    """
    with lost_connections():
        async with _connected(engine) as connection:
            yield await connection.execution_options(read_only=True)


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection, within one timeout: to ask a frozen server whether it lives, and then for a new one, takes two."""
    async with asyncio.timeout(engine.get_execution_options().get("patience_s")):
        connection = await engine.connect()
    try:
        yield connection
    finally:
        await connection.close()


class lost_connections:
    """Turns every driver's way of saying "the database is away" into `Transient`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, Transient) and is_lost(error):
            raise Transient(f"the database is away: {type(error).__name__}: {error}"[:300]) from error


def is_lost(error: Exception) -> bool:
    """Whether this driver error means that the connection, not the statement, is at fault."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if state:
            return bool(_LOST_STATES.match(state))
        sqlite_error = getattr(error.orig, "sqlite_errorname", None)
        if sqlite_error:
            return str(sqlite_error).startswith(_SQLITE_TRANSIENT)
        if error.connection_invalidated:
            return True
    if isinstance(error, asyncpg.PostgresError) and _LOST_STATES.match(error.sqlstate or ""):
        return True
    return isinstance(error, _LOST)


async def ping(engine: AsyncEngine) -> None:
    """Return if the database answers.

    Raises:
        Transient: it does not.
    """
    async with reading(engine) as connection:
        await connection.execute(text("select 1"))


async def migrate(engine: AsyncEngine, package: str, version_table: str) -> None:
    """Bring the tables of one service up to date by the Alembic scripts in `<package>.migrations`.

    Several replicas may call it at once: one works, the others wait and find nothing to do.

    Raises:
        Permanent: they are not of this program, or of a newer one.
        Transient: the database is away.
    """
    with as_file(files(package) / "migrations") as scripts:
        if await _version(engine, version_table) == newest_version(scripts):
            return
        # Imported where it is used: it takes a third of a service's time to start, and mostly there is nothing to do.
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(scripts))
        config.set_main_option("path_separator", "os")
        config.attributes["version_table"] = version_table
        async with transaction(engine) as connection:
            if engine.dialect.name == "postgresql":
                await connection.execute(text("select pg_advisory_xact_lock(hashtext('caudal migrate'))"))
            await connection.run_sync(_upgrade, config)


def newest_version(scripts: Path) -> str:
    """The number of the last migration: with it the name of its file begins, as with all of them."""
    return max(path.name for path in (scripts / "versions").glob("[0-9]*.py")).partition("_")[0]


async def migrated(engine: AsyncEngine, version_table: str) -> None:
    """Return if there are tables, whichever they are.

    Raises:
        Permanent: there are none yet.
        Transient: the database is away.
    """
    if await _version(engine, version_table) is None:
        raise Permanent("the database has no tables yet; make them with: caudal migrate")


async def _version(engine: AsyncEngine, version_table: str) -> str | None:
    """Up to which migration the tables are; None: there are none."""
    async with reading(engine) as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(version_table)):
            return None
        query = select(column("version_num", String)).select_from(table(version_table))
        return cast(str | None, await connection.scalar(query))


def _upgrade(connection: Connection, config: Any) -> None:
    from alembic import command
    from alembic.util import CommandError

    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Permanent(f"the tables are not those of this program, or of a newer one: {error}") from error


def run_migrations(alembic_context: Any) -> None:
    """The whole of each service's `migrations/env.py`."""
    attributes = alembic_context.config.attributes
    alembic_context.configure(
        connection=attributes["connection"], version_table=attributes["version_table"], transactional_ddl=False
    )
    alembic_context.run_migrations()
