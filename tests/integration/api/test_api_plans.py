"""With 10,000 points in PostgreSQL, what names a few of them is found by an index, not by reading them all."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.common.adapters.sql import open_engine
from caudal.common.settings import SqlSettings
from caudal.gateway_api.adapters.ledger_views import ledger_rejected
from caudal.gateway_api.adapters.sql_listing import SqlList
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.sql_stretches import SqlStretches
from caudal.gateway_api.adapters.tables import notification_preferences, owners, points, variables
from caudal.gateway_api.domain.listing import Filter, Listing, ListShape
from caudal.gateway_api.domain.lists import POINTS, VARIABLES
from caudal.gateway_api.domain.permissions import EVERYWHERE, Permission, Scope
from caudal.gateway_api.domain.records import OWNERS, PREFERENCES
from estates import settle
from integration.api.house import NOW
from servers.postgres import Postgres

TABLES: dict[str, tuple[sa.Table, ListShape]] = {
    "point": (points, POINTS),
    "variable": (variables, VARIABLES),
    OWNERS.name: (owners, OWNERS.shape),
    PREFERENCES.name: (notification_preferences, PREFERENCES.shape),
}
FEW = [
    ("point", "code", "point-00042"),
    ("point", "device", "meter-000042"),
    ("point", "client", "client-7"),
    ("variable", "point", "point-00042"),
    (OWNERS.name, "user", "user-7"),
    (OWNERS.name, "point", "point-00042"),
    (PREFERENCES.name, "user", "user-7"),
    (PREFERENCES.name, "point", "point-00042"),
]
"""List, filter and value that name a few of many."""


REJECTED = sa.text(
    "insert into processor_rejected (id, device, received_at, inlet, topic, reason, payload, payload_encoding)"
    " select 'r-' || n, 'meter-' || n % 20, timestamptz '2026-01-01' + n * interval '1 minute', 'uplink', 't', 'r',"
    " 'p', 'text' from generate_series(1, 20000) n"
)
"""A thousand payloads of each of twenty devices."""


@pytest.fixture(scope="module")
def estate(postgres: Postgres, postgres_template: str) -> str:
    """A database with a fleet in it."""
    url = postgres.database(postgres_template)
    asyncio.run(_settled(url))
    return url


async def _settled(url: str) -> None:
    engine = open_engine(SqlSettings(database_url=url))
    await settle(engine, NOW)
    async with engine.begin() as connection:
        await connection.execute(REJECTED)
        await connection.execute(sa.text("analyze processor_rejected"))
    await engine.dispose()


async def plan_of(url: str, kind: str, listing: Listing, scope: Scope = EVERYWHERE) -> str:
    """How PostgreSQL would find a page of a list."""
    table, shape = TABLES[kind]
    asked = SqlList(lambda seen: sa.select(table).where(SCOPES[kind](seen)), shape)
    return await found(url, asked.statements(scope, listing)[0].params(asked.values(scope, listing)))


async def found(url: str, query: sa.Select[Any]) -> str:
    """How PostgreSQL would answer a question."""
    text = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))
    engine = open_engine(SqlSettings(database_url=url))
    try:
        async with engine.connect() as connection:
            return await _explained(connection, text)
    finally:
        await engine.dispose()


async def _explained(connection: AsyncConnection, text: str) -> str:
    rows: list[Any] = [*(await connection.execute(sa.text("explain " + text.replace(":", "\\:")))).scalars()]
    return "\n".join(rows)


@pytest.mark.parametrize(("kind", "field", "value"), FEW)
async def test_what_names_a_few_is_found_by_an_index(estate: str, kind: str, field: str, value: str) -> None:
    plan = await plan_of(estate, kind, Listing(filters=(Filter(field=field, value=value),)))
    assert "Index" in plan, plan
    assert "Seq Scan" not in plan, plan


async def test_first_page_of_all_points_reads_no_more_than_it_shows(estate: str) -> None:
    plan = await plan_of(estate, "point", Listing())
    assert "Index Scan" in plan, plan
    assert "Sort" not in plan, plan


async def test_points_of_a_client_are_found_by_an_index(estate: str) -> None:
    plan = await plan_of(estate, "point", Listing(), Scope("client-7"))
    assert "Index" in plan, plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize("client", ["client-7", None])
@pytest.mark.parametrize("kind", ["point", "variable"])
async def test_what_an_owner_finds_is_found_by_an_index(estate: str, kind: str, client: str | None) -> None:
    plan = await plan_of(estate, kind, Listing(), Scope(client, "user-7", Permission.POINTS_READ))
    assert "ix_owners_user" in plan, plan
    assert "Seq Scan" not in plan, plan


async def test_rejected_payloads_of_a_device_are_read_in_order_by_an_index(estate: str) -> None:
    asked = SqlStretches(ledger_rejected, "rejected", "received_at").statement("received_at", ("device",), None)
    plan = await found(estate, asked.params(device="meter-7", limit=20))
    assert "Index Scan Backward using processor_rejected_by_device" in plan, plan
    assert "Sort" not in plan, plan
