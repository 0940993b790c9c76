"""The past folded again, after its configuration was changed."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.domain.catalog import Variable, VariableType, Version
from caudal.common.domain.errors import NotFound
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk, fold_again, keep
from caudal.processor.handlers.weaving import ROWS_AT_ONCE
from integration.processor.well import HOUR, START, bundle, changed_at, point, reading, statuses, totals


async def test_a_variable_that_comes_later_is_filled_by_folding_again(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine
) -> None:
    catalog.put(point(variables=()))
    await keep(desk, [bundle(reading(0, total=100))])
    assert await statuses(engine) == {"FAILED": 1}
    catalog.put(point())
    assert await fold_again(desk, "WELL-1") == (1, 1)
    assert await totals(ledger) == [1]
    assert await statuses(engine) == {"COMPLETED": 1}


async def test_folding_again_applies_new_constants_to_the_whole_series(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    await keep(desk, [bundle(*(reading(hour, total=1000 * hour) for hour in range(1300)))])
    catalog.put(point(pulses_per_liter=0.2))
    assert await totals(ledger) == [10 * hour for hour in range(1300)]
    assert await fold_again(desk, "WELL-1") == (1300, 1300)
    assert await totals(ledger) == pytest.approx([5 * hour for hour in range(1300)])


async def test_folding_a_range_again_leaves_what_came_before(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    """The total stays continuous: only what was counted from there on is converted anew."""
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(5)))])
    catalog.put(point(pulses_per_liter=0.2))
    await fold_again(desk, "WELL-1", START + 3 * HOUR)
    assert await totals(ledger) == pytest.approx([0, 1, 2, 2.5, 3])


@pytest.mark.parametrize("hours", [ROWS_AT_ONCE, 2 * ROWS_AT_ONCE, ROWS_AT_ONCE + 1])
async def test_folding_a_range_again_reaches_what_comes_after_it_however_many_rows_it_has(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, hours: int
) -> None:
    after = 3
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(hours + after)))])
    catalog.put(changed_at(hours, 0.2, 0.1))
    assert (await fold_again(desk, "WELL-1", None, START + hours * HOUR))[0] == hours
    expected = [0.5 * hour for hour in range(hours)] + [0.5 * (hours - 1) + 1 + later for later in range(after)]
    assert await totals(ledger) == pytest.approx(expected)


async def test_folding_again_comes_to_what_the_corrected_past_would_have_given(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog
) -> None:
    await keep(desk, [bundle(*(reading(hour, total=100 * hour) for hour in range(1200)))])
    catalog.put(changed_at(2, 0.1, 0.2))
    assert (await fold_again(desk, "WELL-1", START + 2 * HOUR))[0] == 1198
    expected = [0.0, 1.0] + [1 + 0.5 * (hour - 1) for hour in range(2, 1200)]
    assert await totals(ledger) == pytest.approx(expected)
    assert await fold_again(desk, "WELL-1") == (1200, 0)


async def test_what_no_variable_could_use_is_of_use_once_one_was_valid_then(
    desk: Desk, ledger: SqlLedger, catalog: MemoryCatalog, engine: AsyncEngine
) -> None:
    level = Variable(code="level", type=VariableType.LEVEL)
    catalog.put(point(variables=(level,)))
    await keep(desk, [bundle(reading(0, total=100), reading(5, total=200))])
    assert await statuses(engine) == {"FAILED": 2}
    total = point().variables
    earlier = (Version(valid_until=START + HOUR, sampling_minutes=60, variables=total),)
    catalog.put(point(variables=(level,), earlier=earlier))
    await fold_again(desk, "WELL-1")
    assert await statuses(engine) == {"COMPLETED": 1, "FAILED": 1}


async def test_folding_a_point_that_is_not_there_says_so(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await fold_again(desk, "WELL-9")
