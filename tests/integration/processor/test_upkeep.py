"""The store rebuilt, and what is tidied, capped and put away."""

import asyncio
import time
from contextlib import aclosing
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.bus.messages import Rejected
from caudal.common.domain.readings import Inlet
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.common.testing.memory_store import MemoryStore
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.handlers.telling import Teller, store_teller
from caudal.processor.handlers.upkeep import cap, keep_rejected, mark_replayed, rebuild, tidy
from integration.processor.well import NOW, START, bundle, point, reading, totals


async def test_a_rebuild_has_its_turn_beside_a_busy_processor(
    desk: Desk, ledger: SqlLedger, engine: AsyncEngine, store: MemoryStore
) -> None:
    to_store = store_teller(ledger, store, time.monotonic)
    await keep(desk, [bundle(reading(0, total=1000))])
    await to_store.step()
    done = asyncio.Event()

    async def keep_busy() -> None:
        hour = 0
        while not done.is_set():
            hour += 1
            await keep(desk, [bundle(reading(hour, total=1000 + hour))])
            await to_store.step()

    async with asyncio.TaskGroup() as tasks, aclosing(SqlLedger(engine)) as another:
        tasks.create_task(keep_busy())
        rebuilt = [progress async for progress in rebuild(another, store)]
        done.set()
    assert rebuilt
    while await to_store.step():
        pass
    stored = [row.fields["total"] async for row in store.rows("WELL-1")]
    assert stored == await totals(ledger)


async def test_the_projection_can_be_dropped_and_rebuilt(
    desk: Desk, ledger: SqlLedger, store: MemoryStore, to_store: Teller
) -> None:
    await keep(
        desk, [bundle(reading(0, total=1000), reading(1, total=0), reading(2, total=-999), reading(3, total=1100))]
    )
    await to_store.step()
    before = [row async for row in store.rows("WELL-1")]
    await store.drop()
    assert [progress async for progress in rebuild(ledger, store)] == [("WELL-1", 4)]
    assert [row async for row in store.rows("WELL-1")] == before
    assert len(before) == 3


async def test_raw_payloads_are_kept_30_days_and_readings_in_the_ledger_longer(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine, store: MemoryStore
) -> None:
    await keep(
        desk, [bundle(reading(0, received=0, total=100)), bundle(reading(0, received=0, x=1), device="stranger")]
    )
    assert (await tidy(ledger, store, NOW + timedelta(days=30)))["raw"] == 0
    assert (await tidy(ledger, store, NOW + timedelta(days=30, seconds=1)))["raw"] == 1
    assert await totals(ledger) == [1]
    async with engine.connect() as connection:
        left = (await connection.execute(text("select device, payload from ledger_raw"))).all()
    assert [tuple(row) for row in left] == [("stranger", "")]


async def test_a_crowded_unit_of_a_window_loses_what_is_older_than_7_days(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine, store: MemoryStore
) -> None:
    now = START + timedelta(hours=300)
    rows = [reading(hour, total=hour) for hour in range(300)]
    await keep(desk, [bundle(*rows, device="unit-1", inlet=Inlet.WINDOW)])
    await keep(desk, [bundle(*rows[:5], device="unit-2", inlet=Inlet.WINDOW)])
    assert await cap(ledger, catalog, store, 300, now) == 0
    assert await cap(ledger, catalog, store, 299, now) == 300 - 168
    async with engine.connect() as connection:
        counted = await connection.execute(text("select unit, count(*) from window_rows group by unit order by unit"))
        assert [tuple(row) for row in counted] == [("unit-1", 168), ("unit-2", 5)]


async def test_a_point_is_capped_only_if_it_says_so(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, store: MemoryStore, to_store: Teller
) -> None:
    now = START + timedelta(hours=300)
    await keep(desk, [bundle(*(reading(hour, total=hour) for hour in range(300)))])
    while await to_store.step():
        pass
    assert await cap(ledger, catalog, store, 10, now) == 0
    catalog.put(point(max_rows=10))
    assert await cap(ledger, catalog, store, 10, now) == 300 - 168
    assert len(await totals(ledger)) == 300


async def test_the_collector_keeps_the_latest_version_of_each_row(desk: Desk, engine: AsyncEngine) -> None:
    await keep(desk, [bundle(reading(0, received=2, a=2), device="unit-1", inlet=Inlet.WINDOW)])
    await keep(desk, [bundle(reading(0, received=1, a=1), device="unit-1", inlet=Inlet.WINDOW)])
    await keep(desk, [bundle(reading(1, a=7), device="unit-1")])
    async with engine.connect() as connection:
        rows = (await connection.execute(text("select unit, row_json from window_rows"))).all()
    assert [tuple(row) for row in rows] == [("unit-1", '{"a":2}')]


async def test_a_rejected_payload_is_kept_once_whatever_is_in_it(ledger: SqlLedger, engine: AsyncEngine) -> None:
    nasty = Rejected(
        id="r1",
        device="d",
        received_at=NOW,
        inlet=Inlet.UPLINK,
        topic="t",
        reason="a\x00b",
        field="\x00",
        payload="\x00",
    )
    await keep_rejected(ledger, [nasty, nasty])
    await keep_rejected(ledger, [nasty])
    assert await mark_replayed(ledger, "r1", NOW)
    assert not await mark_replayed(ledger, "r2", NOW)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("select payload, replayed_at is not null from ledger_rejected"))).all()
    assert [(row[0], bool(row[1])) for row in rows] == [("\\u0000", True)]
