"""Whatever is written, in whatever order, every store gives the same answers as the plainest one."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.common.adapters.store import open_store
from caudal.common.ports import Function, SeriesRow, TelemetryStore
from caudal.common.settings import StoreSettings
from caudal.common.testing.memory_store import MemoryStore
from caudal.common.testing.store_rows import BASE, EVER, LONG_AGO, MINUTE, all_rows
from servers.influx import Influx1, Influx2, find_influxd
from stores import store_settings

Stores = dict[str, TelemetryStore]

instants = st.builds(
    lambda base, minutes, us: base + minutes * MINUTE + timedelta(microseconds=us),
    st.sampled_from([BASE, LONG_AGO]),
    st.integers(0, 12),
    st.sampled_from([0, 1]),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        # eighths: their sums are exact, whatever the order
        "flow": st.integers(-(2**40), 2**40).map(lambda n: n / 8),
        "total": st.floats(allow_nan=False, allow_infinity=False),
    },
)
rows = st.builds(
    SeriesRow,
    point=st.just("well"),
    at=instants,
    fields=fields,
    provider=st.sampled_from(["", "nettra", "twin"]),
    erased=st.sampled_from([(), (), (), ("flow",), ("flow", "total")]),
)
batches = st.lists(st.lists(rows, max_size=12), min_size=1, max_size=4)


@pytest.fixture
async def stores(tmp_path: Path, influx1: Influx1, request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """One of each kind; InfluxDB 2 where there is one."""
    kinds = {
        "embedded": StoreSettings(store="embedded", store_path=tmp_path / "telemetry.db"),
        "influx1": store_settings(influx1),
    }
    if find_influxd("2"):
        influx2: Influx2 = request.getfixturevalue("influx2")
        kinds["influx2"] = store_settings(influx2)
    async with AsyncExitStack() as stack:
        opened = {kind: await stack.enter_async_context(open_store(chosen)) for kind, chosen in kinds.items()}
        yield {"memory": MemoryStore(), **opened}


async def answers(store: TelemetryStore, point: str) -> list[Any]:
    """Everything that can be asked about a point."""
    found: list[Any] = [await all_rows(store, point)]
    for limit in (1, 3, 1000):
        found.append(await store.samples(point, ["flow", "total"], *EVER, limit))
    for function in Function:
        exact = function in (Function.MIN, Function.MAX, Function.LAST)
        variables = ["flow", "total"] if exact else ["flow"]
        for every in (5 * MINUTE, timedelta(days=1)):
            found.append(await store.aggregate(point, variables, *EVER, every, function))
            span = BASE + 3 * MINUTE, BASE + 11 * MINUTE
            found.append(await store.aggregate(point, variables, *span, every, function))
    return found


async def write_as(store: TelemetryStore, point: str, written: Sequence[Sequence[SeriesRow]]) -> None:
    """Write batches as rows of `point`."""
    for batch in written:
        await store.write([msgspec.structs.replace(row, point=point) for row in batch])


example = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@example
@given(written=batches)
async def test_the_same_writes_give_the_same_answers_in_every_store(
    stores: Stores, written: list[list[SeriesRow]]
) -> None:
    point = uuid4().hex
    told = {}
    for kind, store in stores.items():
        await write_as(store, point, written)
        told[kind] = await answers(store, point)
    for kind in told:
        assert told[kind] == told["memory"], kind


@example
@given(batch=st.lists(rows, max_size=25), seed=st.randoms(use_true_random=False))
async def test_rows_that_do_not_contradict_each_other_may_come_in_any_order_and_any_number_of_times(
    stores: Stores, batch: list[SeriesRow], seed: random.Random
) -> None:
    distinct = {(row.at, row.provider): msgspec.structs.replace(row, erased=()) for row in batch}
    shuffled = [*distinct.values(), *seed.sample(list(distinct.values()), len(distinct) // 2)]
    seed.shuffle(shuffled)
    cut = seed.randint(0, len(shuffled))
    ordered, disordered = uuid4().hex, uuid4().hex
    for kind, store in stores.items():
        await write_as(store, ordered, [list(distinct.values())])
        await write_as(store, disordered, [shuffled[:cut], shuffled[cut:]])
        expected = await answers(store, ordered)
        found = await answers(store, disordered)
        assert found[1:] == expected[1:], kind
        assert [row.fields for row in found[0]] == [row.fields for row in expected[0]]
