"""Questions to real databases: the same answers from both, whatever happens to the server in between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters import sql_kept
from caudal.common.adapters.sql import UtcDateTime, kept_connections, open_engine, transaction
from caudal.common.adapters.sql_reads import ask, ask_one, ask_value
from caudal.common.domain.errors import Transient
from caudal.common.settings import SqlSettings
from servers.postgres import Postgres

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

things = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("size", sa.Float),
    sa.Column("active", sa.Boolean),
    sa.Column("at", UtcDateTime),
)
ROWS = [{"code": f"t{n}", "size": n / 2, "active": n % 2 == 0, "at": NOON + timedelta(hours=n)} for n in range(6)]


async def filled(url: str, timeout_s: float = 10.0) -> AsyncEngine:
    """An engine on a database with six things."""
    engine = open_engine(SqlSettings(database_url=url, database_timeout_s=timeout_s))
    async with transaction(engine) as connection:
        await connection.run_sync(things.metadata.create_all)
        await connection.execute(sa.insert(things), ROWS)
    return engine


@pytest.fixture(params=["sqlite", "postgres"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Each database in turn."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'things.db'}"
    else:
        url = request.getfixturevalue("postgres").database()
    engine = await filled(url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def postgres_engine(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """PostgreSQL alone."""
    engine = await filled(postgres.database())
    yield engine
    await engine.dispose()


async def test_rows_come_back_as_they_were_written(engine: AsyncEngine) -> None:
    assert [dict(row) for row in await ask(engine, sa.select(things).order_by(things.c.code))] == ROWS


async def test_statement_of_one_shape_is_answered_for_the_values_of_each_question(engine: AsyncEngine) -> None:
    named = sa.select(things.c.code).where(things.c.code == sa.bindparam("wanted"))
    for code in ("t1", "t3", "t1"):
        assert await ask_value(engine, named, {"wanted": code}) == code
        assert await ask_value(engine, sa.select(things.c.code).where(things.c.code == code)) == code
    for codes in (["t1"], ["t2", "t4", "nobody"], []):
        among = sa.select(things.c.code).where(things.c.code.in_(codes), things.c.active).order_by(things.c.code)
        assert [row["code"] for row in await ask(engine, among)] == [code for code in codes if code in ("t2", "t4")]
    for hours, limit in ((2, 1), (4, 5)):
        since = sa.select(sa.func.count()).where(things.c.at >= NOON + timedelta(hours=hours)).limit(limit)
        assert await ask_value(engine, since) == 6 - hours
    assert await ask_one(engine, named, {"wanted": "nobody"}) is None


async def test_many_at_once_are_all_answered(engine: AsyncEngine) -> None:
    named = sa.select(things.c.size).where(things.c.code == sa.bindparam("wanted"))
    sizes = await asyncio.gather(*(ask_value(engine, named, {"wanted": f"t{n % 6}"}) for n in range(200)))
    assert sizes == [n % 6 / 2 for n in range(200)]


async def test_failed_statement_is_no_outage_and_spoils_nothing(postgres_engine: AsyncEngine) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await ask(postgres_engine, sa.select(sa.literal(1) / sa.bindparam("zero", type_=sa.Integer)), {"zero": 0})
    assert await ask_value(postgres_engine, sa.select(sa.func.count()).select_from(things)) == 6


async def test_nothing_can_be_changed_by_a_question(postgres_engine: AsyncEngine) -> None:
    gone = sa.delete(things).returning(things.c.code).cte("gone")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await ask(postgres_engine, sa.select(gone.c.code))


async def test_compiled_statements_are_bounded(postgres_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_kept, "MAX_SHAPES", 3)
    for columns in range(1, 5):
        for order in things.c:
            await ask(postgres_engine, sa.select(*list(things.c)[:columns]).order_by(order))
    kept = kept_connections(postgres_engine)
    assert kept is not None
    assert len(kept._shapes) <= 3


async def test_server_that_was_restarted_is_asked_again_at_once(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres") as server:
        engine = await filled(server.database())
        count = sa.select(sa.func.count()).select_from(things)
        await asyncio.gather(*(ask_value(engine, count) for _ in range(20)))
        server.stop()
        with pytest.raises(Transient):
            await ask_value(engine, count)
        server.start()
        assert await asyncio.gather(*(ask_value(engine, count) for _ in range(20))) == [6] * 20
        await engine.dispose()


async def test_frozen_server_costs_no_question_more_than_the_timeout(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres") as server:
        engine = await filled(server.database(), timeout_s=3.0)
        count = sa.select(sa.func.count()).select_from(things)
        assert await ask_value(engine, count) == 6
        server.freeze()
        try:
            async with asyncio.timeout(10):
                asked = (ask_value(engine, count) for _ in range(50))
                answers = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            server.thaw()
        assert all(isinstance(answer, Transient) for answer in answers), answers
        assert await ask_value(engine, count) == 6
        await engine.dispose()
