"""Whatever of a point's configuration is changed: once that past is folded again which the change says it is about, the
ledger is the one that would be there had the configuration been so from the first reading on.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.domain.catalog import (
    Counter,
    CounterKind,
    MeterSwap,
    Point,
    PulseMeter,
    Variable,
    VariableType,
)
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.readings import Inlet
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.timeline import changed_from, past_that_differs, without_version
from caudal.gateway_api.domain.variable_rules import with_changed_variable, with_swap, without_variable
from caudal.processor.handlers import readings as readings_module
from caudal.processor.handlers import weaving
from caudal.processor.handlers.readings import Desk, fold_again, keep
from fakes.memory_ledger import MemoryLedger

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
METER = PulseMeter(pulses_per_liter=0.1)
POINT = Point(
    code="well-1",
    device="meter-1",
    variables=(
        Variable(code="total", type=VariableType.TOTALIZER, counter=Counter(meter=METER, max_flow_lps=50)),
        Variable(code="flow", type=VariableType.FLOW),
        Variable(code="level", type=VariableType.LEVEL, sensor_depth_m=50.0),
    ),
)

Edit = Callable[[Point], Point]


def counter(**fields: Any) -> Edit:
    """A change of the counter, where there is one."""

    def change(variable: Variable) -> Variable:
        return replace(variable, counter=replace(variable.counter or Counter(), **fields))

    return lambda point: with_changed_variable(point, "total", change) if has_total(point) else point


def has_total(point: Point) -> bool:
    return any(variable.code == "total" for variable in point.variables)


def deeper(point: Point) -> Point:
    return with_changed_variable(point, "level", lambda level: replace(level, sensor_depth_m=20.0, shift=3.0))


def quicker(point: Point) -> Point:
    return replace(point, sampling_minutes=10.0)


def gone(point: Point) -> Point:
    return without_variable(point, "total") if has_total(point) else point


EDITS: list[Edit] = [
    counter(meter=PulseMeter(pulses_per_liter=0.2)),
    counter(meter=PulseMeter(pulses_per_liter=0.1)),
    counter(register_bits=16),
    counter(kind=CounterKind.DELTA),
    counter(kind=CounterKind.TOTAL),
    counter(max_flow_lps=1),
    deeper,
    quicker,
    gone,
]


@dataclass(frozen=True)
class Asked:
    """What somebody changes, and from when on it is about the past; None: wherever it differs."""

    edit: Edit
    about: datetime | None = None


def from_then_on(hour: float | None, edit: Edit) -> Asked:
    start = None if hour is None else START + HOUR * hour
    return Asked(lambda point: changed_from(point, start, edit))


def swap(hour: float, starts_at: float) -> Asked:
    declared = MeterSwap(at=START + HOUR * hour, starts_at=starts_at)

    def declare(point: Point) -> Point:
        change = partial(with_swap, swap=declared)
        return with_changed_variable(point, "total", change) if has_total(point) else point

    return Asked(lambda point: changed_from(point, None, declare), declared.at)


def without(number: int) -> Asked:
    def removed(point: Point) -> Point:
        begins = [None, *(version.valid_until for version in point.earlier)]
        return without_version(point, begins[number % len(begins)])

    return Asked(removed)


half_hours = st.integers(-2, 24).map(lambda half: half / 2)
counts = st.sampled_from([0, 0, 7, 40, 1000, 1100, 1150, 1200, 65_000, 65_500, -1, 5_000_000])
changes = st.one_of(
    st.builds(from_then_on, st.none() | half_hours, st.sampled_from(EDITS)),
    st.builds(swap, half_hours, st.sampled_from([0.0, 7.0, 1000.0])),
    st.builds(without, st.integers(0, 5)),
)


def reading(hour: int, total: float) -> RawReading:
    at = START + HOUR * hour
    values = {"total": total, "flow": total % 13, "level": total % 41}
    return RawReading(measured_at=at, received_at=at, values=values)


class Processor:
    """A ledger, and the point that it is of."""

    def __init__(self, point: Point) -> None:
        self.ledger, self.catalog = MemoryLedger(), MemoryCatalog()
        self.desk = Desk(self.ledger, self.catalog)
        self.catalog.put(point)

    async def hear(self, *readings: RawReading) -> None:
        for each in readings:
            await keep(self.desk, [RawReadings(device="meter-1", inlet=Inlet.UPLINK, readings=[each])])

    @property
    def stored(self) -> dict[datetime, Any]:
        return {at: row.processed for (_, at), row in self.ledger.tables.rows.items()}


async def check(totals: list[tuple[float, int]], asked: list[Asked]) -> None:
    """Each reading comes after so many changes, the last of which is yet to be folded."""
    coming = [(reading(hour, total), turn) for hour, (total, turn) in enumerate(totals)]
    point, processor = POINT, Processor(POINT)
    await processor.hear(*(each for each, turn in coming if turn == 0))
    for number, each in enumerate(asked, 1):
        before = point
        with suppress(Conflict, InvalidInput):
            point = each.edit(before)
        processor.catalog.put(point)
        await processor.hear(*(late for late, turn in coming if turn == number))
        past = past_that_differs(before, point)
        if past is not None:
            start = max((at for at in (past.start, each.about) if at is not None), default=None)
            await fold_again(processor.desk, "well-1", start, past.end)
    fresh = Processor(point)
    await fresh.hear(*(each for each, turn in coming if turn <= len(asked)))
    assert processor.stored == fresh.stored
    assert processor.ledger.tables.heads == fresh.ledger.tables.heads


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(counts, st.integers(0, 3)), min_size=1, max_size=12),
    st.lists(changes, min_size=1, max_size=5),
    st.sampled_from([2, 3, 500]),
)
def test_a_past_folded_again_is_the_one_that_would_have_been(
    totals: list[int], asked: list[tuple[str, float | int | None, object]], rows_at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (readings_module, weaving):
            patch.setattr(module, "ROWS_AT_ONCE", rows_at_once)
        asyncio.run(check(totals, asked))
