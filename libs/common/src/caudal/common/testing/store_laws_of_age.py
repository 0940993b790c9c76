"""The laws of `TelemetryStore` about the archive and about forgetting."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import ClassVar

import pytest

from caudal.common.ports import Function, SeriesRow, TelemetryStore
from caudal.common.testing.store_rows import (
    EVER,
    HOUR,
    LONG_AGO,
    MINUTE,
    RETENTION,
    TODAY,
    MovableClock,
    all_rows,
    at,
    column,
    flows,
    row,
)


class AgeLaws:
    """Nothing old is lost that was not to be forgotten, and the archive does not show."""

    expires_by_itself: ClassVar[bool] = False
    """Whether the store's server forgets old rows without being told."""

    async def test_rows_older_than_the_retention_go_to_the_archive_and_the_report_says_so(
        self, store: TelemetryStore
    ) -> None:
        old = [row(minute, base=LONG_AGO, flow=float(minute)) for minute in range(3)]
        before_1970 = row(0, base=datetime(1950, 1, 1, tzinfo=UTC), flow=7.0)
        report = await store.write([*old, row(0, flow=9.0), before_1970])
        assert (report.written, report.archived) == (5, 4)
        assert await all_rows(store) == [before_1970, *old, row(0, flow=9.0)]
        assert [value for _, value in column(await flows(store))] == [7.0, 0.0, 1.0, 2.0, 9.0]

    async def test_rows_within_an_hour_of_the_retention_go_to_the_archive(
        self, store: TelemetryStore, clock: MovableClock
    ) -> None:
        edge = clock.now() - RETENTION
        rows = [SeriesRow("well-1", edge + minutes * MINUTE, {"flow": 1.0}, "twin") for minutes in (-1, 30, 59, 62, 90)]
        assert (await store.write(rows)).archived == 3
        assert await all_rows(store) == rows

    async def test_reads_and_aggregates_cross_the_border_of_the_archive(
        self, store: TelemetryStore, clock: MovableClock
    ) -> None:
        edge = (clock.now() - RETENTION + HOUR).replace(minute=0, second=0, microsecond=0) - 5 * HOUR
        totals = {edge + n * 10 * MINUTE: 1000.0 + n * n for n in range(70)}
        await store.write([SeriesRow("well-1", instant, {"total": total}) for instant, total in totals.items()])
        assert column(await flows(store, "total"), "total") == list(totals.items())
        for function in Function:
            hours = await store.aggregate("well-1", ["total"], edge, edge + 12 * HOUR, HOUR, function)
            assert dict(column(hours, "total")) == pytest.approx(_by_hour(totals, function)), function
        later = await store.aggregate("well-1", ["total"], edge + 7 * HOUR, edge + 12 * HOUR, HOUR, Function.INCREASE)
        assert column(later, "total") == list(_by_hour(totals, Function.INCREASE).items())[7:]

    async def test_a_correction_in_the_archive_wins_over_what_is_still_in_the_main_place(
        self, store: TelemetryStore, clock: MovableClock
    ) -> None:
        base = clock.now() - RETENTION + 30 * MINUTE
        clock.offset = -2 * HOUR
        first = await store.write([row(minute, base=base, flow=1.0, total=5.0) for minute in range(20)])
        clock.offset = timedelta(0)
        corrected = await store.write([row(minute, base=base, flow=9.0) for minute in (3, 4)])
        assert (first.archived, corrected.archived) == (0, 2)
        expected = [row(n, base=base, flow=9.0 if n in (3, 4) else 1.0, total=5.0) for n in range(20)]
        assert await all_rows(store) == expected
        summed = await store.aggregate("well-1", ["flow", "total"], *EVER, timedelta(days=3), Function.SUM)
        assert sum(sample.values["flow"] or 0 for sample in summed) == 36.0
        assert sum(sample.values["total"] or 0 for sample in summed) == 100.0
        await store.write([SeriesRow("well-1", base + 3 * MINUTE, {}, "twin", erased=("flow",))])
        assert [v for _, v in column(await flows(store))] == [1.0, 1.0, 1.0, 9.0, *[1.0] * 15]

    async def test_expired_rows_are_forgotten_and_the_archive_is_kept(
        self, store: TelemetryStore, clock: MovableClock
    ) -> None:
        await store.write([row(minute, flow=1.0, total=2.0) for minute in range(3)])
        await store.write([row(60, flow=1.0), row(0, base=LONG_AGO, flow=5.0)])
        assert await store.expire(clock.now()) == 0
        assert len(await flows(store)) == 5
        gone = await store.expire(at(30) + RETENTION)
        if self.expires_by_itself:
            assert gone == 0
        else:
            assert gone == 3
            assert await all_rows(store) == [row(0, base=LONG_AGO, flow=5.0), row(60, flow=1.0)]

    async def test_above_the_cap_rows_older_than_seven_days_go(
        self, store: TelemetryStore, clock: MovableClock
    ) -> None:
        now = TODAY
        rows = [SeriesRow("unit-1", now - hours * HOUR, {"flow": 1.0, "total": 2.0}) for hours in range(0, 240, 2)]
        rows += [SeriesRow("unit-1", LONG_AGO, {"level": 1.0}), SeriesRow("unit-1", now, {"level": 1.0}, "twin")]
        await store.write([*rows, row(0, point="unit-2", base=LONG_AGO, flow=1.0)])
        week = now - timedelta(days=7)
        assert await store.trim("unit-1", 121, week) == 0
        assert len(await all_rows(store, "unit-1")) == 121
        assert await store.trim("unit-1", 120, week) == 36
        left = await all_rows(store, "unit-1")
        assert len(left) == 85
        assert left[0].at == week
        assert await store.trim("unit-1", 84, week) == 0, "younger rows stay, however many"
        assert len(await all_rows(store, "unit-2")) == 1
        assert await store.trim("nobody", 0, week) == 0

    async def test_dropping_a_point_leaves_the_others(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1.0), row(0, base=LONG_AGO, flow=1.0), row(0, provider="x", level=1.0)])
        await store.write([row(0, point="well-10", flow=1.0), row(0, point="well", flow=1.0)])
        await store.drop("well-1")
        assert await all_rows(store) == []
        assert len(await all_rows(store, "well-10") + await all_rows(store, "well")) == 2
        await store.write([row(0, flow=2.0)])
        assert await all_rows(store) == [row(0, flow=2.0)]

    async def test_dropping_all_leaves_a_store_that_can_be_filled_again(self, store: TelemetryStore) -> None:
        rows = [row(0, flow=1.0), row(0, point="well-2", flow=1.0), row(0, point="well-3", base=LONG_AGO, flow=1.0)]
        await store.write(rows)
        await store.drop()
        assert [await all_rows(store, f"well-{n}") for n in (1, 2, 3)] == [[], [], []]
        assert (await store.write(rows)).archived == 1
        assert [await all_rows(store, f"well-{n}") for n in (1, 2, 3)] == [[found] for found in rows]

    async def test_ping_returns_when_the_store_is_there(self, store: TelemetryStore) -> None:
        await store.ping()


def _by_hour(values: dict[datetime, float], function: Function) -> dict[datetime, float]:
    """What `function` should make of values that reach over several hours, with nothing before them."""
    hours: dict[datetime, list[float]] = {}
    for instant, value in values.items():
        hours.setdefault(instant.replace(minute=0), []).append(value)
    if function is Function.INCREASE:
        lasts = [next(iter(values.values())), *(held[-1] for held in hours.values())]
        return dict(zip(hours, (after - before for before, after in pairwise(lasts)), strict=True))
    make: dict[Function, Callable[[list[float]], float]] = {
        Function.MEAN: lambda held: sum(held) / len(held),
        Function.MIN: min,
        Function.MAX: max,
        Function.SUM: sum,
        Function.LAST: lambda held: held[-1],
    }
    return {hour: make[function](held) for hour, held in hours.items()}
