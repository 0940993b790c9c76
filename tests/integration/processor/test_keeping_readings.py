"""Raw readings as they come, again, late or of nobody: what the ledger makes of them."""

from contextlib import aclosing

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.bus.messages import RawReading
from caudal.common.domain.catalog import Variable, VariableType
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.adapters.statements import COPIED_FROM
from caudal.processor.handlers.readings import Desk, claim, keep
from caudal.processor.ports import Overtaken
from integration.processor.well import NOW, START, bundle, changed_at, point, reading, statuses, totals


async def test_a_device_that_sends_again_is_stored_once(desk: Desk, ledger: SqlLedger, engine: AsyncEngine) -> None:
    await keep(desk, [bundle(reading(0, total=100), reading(1, total=200))])
    await keep(desk, [bundle(reading(1, received=5, total=200))])
    assert await totals(ledger) == [1, 2]
    assert await statuses(engine) == {"COMPLETED": 2, "SKIPPED": 1}


async def test_the_bus_delivering_again_leaves_no_trace(desk: Desk, engine: AsyncEngine) -> None:
    await keep(desk, [bundle(reading(0, total=100))])
    assert await keep(desk, [bundle(reading(0, total=100))]) == 0
    assert await statuses(engine) == {"COMPLETED": 1}


async def test_much_that_comes_again_beside_what_is_new_is_kept_once(
    desk: Desk, ledger: SqlLedger, engine: AsyncEngine
) -> None:
    """So many that they are copied, twice over, and the second time among others."""
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(2 * COPIED_FROM)))])
    again = range(COPIED_FROM, 4 * COPIED_FROM)
    changed = await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in again))])
    assert changed == 2 * COPIED_FROM
    assert await totals(ledger) == list(range(4 * COPIED_FROM))
    assert await statuses(engine) == {"COMPLETED": 4 * COPIED_FROM}


async def test_many_readings_at_once_are_kept_like_few(desk: Desk, ledger: SqlLedger, engine: AsyncEngine) -> None:
    """Many take another way into the database."""
    many = [reading(hour, total=1000 + hour) for hour in range(3 * COPIED_FROM)]
    for readings in (many[: 2 * COPIED_FROM], many[COPIED_FROM:], many):
        await keep(desk, [bundle(*readings)])
    assert await totals(ledger) == [(1000 + hour) / 100 for hour in range(3 * COPIED_FROM)]
    assert await statuses(engine) == {"COMPLETED": 3 * COPIED_FROM}


async def test_of_two_values_for_one_instant_the_later_received_wins(desk: Desk, ledger: SqlLedger) -> None:
    await keep(desk, [bundle(reading(0, received=9, total=150))])
    await keep(desk, [bundle(reading(0, received=3, total=100))])
    assert await totals(ledger) == [1.5]


async def test_values_of_one_instant_are_merged_by_variable(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    flow = Variable(code="flow", type=VariableType.FLOW)
    catalog.put(point(variables=(*point().variables, flow)))
    await keep(desk, [bundle(reading(0, total=100))])
    await keep(desk, [bundle(reading(0, received=2, flow=7.5))])
    async with ledger.unit() as unit:
        (row,) = await unit.rows("WELL-1", START)
    assert {code: value.value for code, value in row.processed.items()} == {"total": 1, "flow": 7.5}


async def test_a_late_restart_moves_all_that_follows(desk: Desk, ledger: SqlLedger) -> None:
    """1200 rows are more than are read, folded and written in one go."""
    await keep(desk, [bundle(*(reading(hour, total=5000 + hour) for hour in range(0, 1200)))])
    await keep(desk, [bundle(reading(0.3, received=2000, total=20), reading(0.6, received=2000, total=40))])
    assert (await totals(ledger))[-1] == pytest.approx((5000 + 6199) / 100)


async def test_late_readings_are_converted_by_what_was_valid_when_they_were_measured(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    catalog.put(changed_at(3, 0.1, 0.2))
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in (0, 1, 4)))])
    await keep(desk, [bundle(*(reading(hour, 9, total=100 * hour) for hour in (3, 2)))])
    assert await totals(ledger) == pytest.approx([0, 1, 2, 2.5, 3])


async def test_readings_of_an_unknown_device_wait_until_a_point_claims_it(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine
) -> None:
    catalog.remove("WELL-1")
    await keep(desk, [bundle(reading(1, total=200), reading(0, total=100))])
    assert await statuses(engine) == {"PENDING": 2}
    assert await ledger.unclaimed_devices() == ["meter-1"]
    assert await claim(desk, "meter-1") == 0
    catalog.put(point())
    assert await claim(desk, "meter-1") == 2
    assert await totals(ledger) == [1, 2]
    assert await statuses(engine) == {"COMPLETED": 2}
    assert await ledger.unclaimed_devices() == []


async def test_a_reading_without_a_usable_value_has_failed_with_its_reason(desk: Desk, engine: AsyncEngine) -> None:
    broken = RawReading(measured_at=START, received_at=NOW, values={}, problems={"total": "'abc' is no number"})
    await keep(desk, [bundle(broken)])
    async with engine.connect() as connection:
        row = (await connection.execute(text("select status, reason from ledger_raw"))).one()
    assert tuple(row) == ("FAILED", "total: 'abc' is no number")


@pytest.mark.parametrize("hour", [0.5, 3], ids=["late", "next"])
async def test_a_ledger_that_remembers_finds_out_that_another_was_faster(
    catalog: MemoryCatalog, engine: AsyncEngine, hour: float
) -> None:
    """What comes next is one statement, which looks by itself; what comes late begins a transaction."""
    async with (
        aclosing(SqlLedger(engine, is_alone=True)) as first,
        aclosing(SqlLedger(engine, is_alone=True)) as second,
    ):
        await keep(Desk(first, catalog), [bundle(reading(1, total=1100))])
        await keep(Desk(second, catalog), [bundle(reading(2, total=1200))])
        coming = [bundle(reading(hour, total=1000 + 100 * hour))]
        if engine.dialect.name == "postgresql":
            with pytest.raises(Overtaken):
                await keep(Desk(first, catalog), coming)
            assert await totals(second) == [11.0, 12.0]
        await keep(Desk(first, catalog), coming)
        assert await totals(second) == sorted([11.0, 12.0, 10 + hour])
