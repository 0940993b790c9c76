"""The laws of `TelemetryStore` about reading and aggregates."""

from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.adapters import series_reads
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Function, Sample, SeriesRow, TelemetryStore
from caudal.common.testing.store_rows import (
    BASE,
    EVER,
    HOUR,
    LONG_AGO,
    MICROSECOND,
    MINUTE,
    all_rows,
    at,
    column,
    flows,
    row,
)


class ReadingLaws:
    """Each instant once, each interval right."""

    async def test_ranges_are_half_open(self, store: TelemetryStore) -> None:
        await store.write([row(minute, flow=float(minute)) for minute in range(5)])
        assert [v for _, v in column(await store.samples("well-1", ["flow"], at(1), at(3), 99))] == [1.0, 2.0]
        assert await store.samples("well-1", ["flow"], at(1), at(1), 99) == []
        assert await store.samples("well-1", ["flow"], at(3), at(1), 99) == []
        assert await store.aggregate("well-1", ["flow"], at(3), at(1), HOUR, Function.LAST) == []

    async def test_the_whole_of_time_can_be_asked_for(self, store: TelemetryStore) -> None:
        ends = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        first, last = datetime(1678, 1, 1, tzinfo=UTC), datetime(2261, 12, 31, 23, 59, tzinfo=UTC)
        await store.write([SeriesRow("well-1", instant, {"flow": 1.0}, "twin") for instant in (first, BASE, last)])
        assert [sample.at for sample in await store.samples("well-1", ["flow"], *ends, 99)] == [first, BASE, last]
        days = await store.aggregate("well-1", ["flow"], *ends, timedelta(days=1), Function.SUM)
        assert [sample.at for sample in days] == [first, BASE, last.replace(hour=0, minute=0)]
        assert len(await all_rows(store)) == 3

    async def test_limit_gives_the_first_and_pages_meet_without_gap(self, store: TelemetryStore) -> None:
        rows = [row(minute, provider=("a", "b")[minute % 2], flow=float(minute)) for minute in range(23)]
        await store.write(rows)
        await store.write([row(minute, provider="c", level=1.0) for minute in range(0, 23, 3)])
        start, found = EVER[0], list[Sample]()
        while page := await store.samples("well-1", ["flow", "level"], start, EVER[1], 5):
            assert len(page) <= 5
            found += page
            start = page[-1].at + MICROSECOND
        assert found == await flows(store, "flow", "level")
        assert [sample.at for sample in found] == [at(minute) for minute in range(23)]
        assert await store.samples("well-1", ["flow"], *EVER, 0) == []

    async def test_a_variable_without_a_value_is_none(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1.0), row(1, total=2.0), row(2, level=3.0)])
        assert await flows(store, "flow", "total") == [
            Sample(at(0), {"flow": 1.0, "total": None}),
            Sample(at(1), {"flow": None, "total": 2.0}),
        ]
        assert await flows(store, "never") == []
        assert await store.samples("well-1", [], *EVER, 99) == []

    async def test_a_variable_asked_twice_is_answered_once(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1.0)])
        assert await flows(store, "flow", "flow") == [Sample(at(0), {"flow": 1.0})]

    async def test_providers_that_meet_are_read_as_one(self, store: TelemetryStore) -> None:
        await store.write([row(0, provider="twin", flow=3.0), row(1, provider="twin", flow=5.0)])
        await store.write([row(0, provider="nettra", flow=1.0, total=7.0), row(2, provider="", flow=6.0)])
        merged = [row(0, flow=3.0, total=7.0), row(1, flow=5.0), row(2, provider="", flow=6.0)]
        assert await all_rows(store) == merged
        assert await flows(store, "flow", "total") == [
            Sample(row.at, {"flow": row.fields["flow"], "total": row.fields.get("total")}) for row in merged
        ]
        for function, value in {
            "mean": 14 / 3,
            "sum": 14.0,
            "min": 3.0,
            "max": 6.0,
            "last": 6.0,
            "increase": 3.0,
        }.items():
            [hour] = await store.aggregate("well-1", ["flow"], at(0), at(60), HOUR, Function(function))
            assert hour.values["flow"] == pytest.approx(value), function

    async def test_an_answer_may_be_made_of_many_pages(
        self, store: TelemetryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [row(n, provider=f"p{n % 3}", base=LONG_AGO, total=n * 2.0, flow=float(n)) for n in range(100)]
        rows += [row(n, provider="p9", base=LONG_AGO, flow=n + 0.5, level=1.0) for n in range(0, 100, 5)]
        await store.write(rows)

        async def answers() -> list[object]:
            minutes = [
                await store.aggregate("well-1", ["flow", "total", "level"], *EVER, every, function)
                for every in (MINUTE, 3 * MINUTE, HOUR)
                for function in (Function.SUM, Function.INCREASE)
            ]
            return [await all_rows(store), await flows(store, "flow", "level"), *minutes]

        at_once = await answers()
        monkeypatch.setattr(series_reads, "VALUES_AT_ONCE", 14)
        assert await answers() == at_once
        assert await store.trim("well-1", 10, LONG_AGO + 90 * MINUTE) == 90

    async def test_a_time_without_zone_is_refused(self, store: TelemetryStore) -> None:
        naive = BASE.replace(tzinfo=None)
        with pytest.raises(InvalidInput, match="start"):
            await store.samples("well-1", ["flow"], naive, BASE, 9)
        with pytest.raises(InvalidInput, match="end"):
            await store.aggregate("well-1", ["flow"], BASE, naive, HOUR, Function.MEAN)
        with pytest.raises(InvalidInput, match="older_than"):
            await store.trim("well-1", 1, naive)

    @pytest.mark.parametrize(
        ("function", "first", "third"),
        [
            (Function.MEAN, 2.0, -4.0),
            (Function.MIN, 1.0, -7.0),
            (Function.MAX, 4.0, -1.0),
            (Function.SUM, 6.0, -8.0),
            (Function.LAST, 1.0, -7.0),
            (Function.INCREASE, 0.0, -8.0),
        ],
    )
    async def test_functions(self, store: TelemetryStore, function: Function, first: float, third: float) -> None:
        await store.write(
            [row(0, flow=1.0), row(20, flow=4.0), row(59, flow=1.0), row(120, flow=-1.0), row(179, flow=-7.0)]
        )
        hours = await store.aggregate("well-1", ["flow"], at(0), at(240), HOUR, function)
        assert hours == [Sample(at(0), {"flow": first}), Sample(at(120), {"flow": third})]

    async def test_intervals_are_aligned_to_the_epoch_and_clipped(self, store: TelemetryStore) -> None:
        await store.write([row(minute, flow=1.0) for minute in range(0, 300, 10)])
        hours = await store.aggregate("well-1", ["flow"], at(30), at(150), HOUR, Function.SUM)
        assert column(hours) == [(at(30), 3.0), (at(60), 6.0), (at(120), 3.0)]
        weeks = await store.aggregate("well-1", ["flow"], *EVER, timedelta(days=7), Function.SUM)
        assert all(
            (sample.at - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(days=7) == timedelta(0) for sample in weeks
        )
        assert sum(sample.values["flow"] or 0 for sample in weeks) == 30.0

    async def test_intervals_before_1970_are_aligned_too(self, store: TelemetryStore) -> None:
        base = datetime(1969, 12, 31, 22, tzinfo=UTC)
        await store.write([row(minute, base=base, flow=1.0) for minute in range(0, 240, 7)])
        hours = await store.aggregate("well-1", ["flow"], *EVER, HOUR, Function.SUM)
        assert [sample.at for sample in hours] == [base + n * HOUR for n in range(4)]

    async def test_an_interval_may_be_of_any_length(self, store: TelemetryStore) -> None:
        await store.write([SeriesRow("well-1", BASE + n * MICROSECOND, {"flow": float(n)}) for n in range(10)])
        pairs = await store.aggregate("well-1", ["flow"], *EVER, 2 * MICROSECOND, Function.SUM)
        assert sum(sample.values["flow"] or 0 for sample in pairs) == 45.0
        assert len(pairs) == 5
        [century] = await store.aggregate("well-1", ["flow"], *EVER, timedelta(days=36_525), Function.MAX)
        assert century.values == {"flow": 9.0}
        for every in (timedelta(0), -HOUR, timedelta(days=100_000)):
            with pytest.raises(InvalidInput, match="every"):
                await store.aggregate("well-1", ["flow"], *EVER, every, Function.SUM)

    async def test_each_variable_is_aggregated_by_itself(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1.0), row(10, total=5.0), row(70, total=7.0), row(200, level=1.0)])
        hours = await store.aggregate("well-1", ["flow", "total"], *EVER, HOUR, Function.MEAN)
        assert hours == [
            Sample(at(0), {"flow": 1.0, "total": 5.0}),
            Sample(at(60), {"flow": None, "total": 7.0}),
        ]
        assert await store.aggregate("well-1", [], *EVER, HOUR, Function.MEAN) == []

    async def test_increases_of_all_intervals_add_up_to_the_growth(self, store: TelemetryStore) -> None:
        totals = [100.0 + minute * 0.25 for minute in range(0, 600, 7)]
        await store.write([row(minute, total=total) for minute, total in zip(range(0, 600, 7), totals, strict=True)])
        for every in (MINUTE, HOUR, timedelta(days=1)):
            grown = await store.aggregate("well-1", ["total"], *EVER, every, Function.INCREASE)
            assert sum(sample.values["total"] or 0 for sample in grown) == totals[-1] - totals[0]

    async def test_the_first_increase_counts_from_the_last_value_before(self, store: TelemetryStore) -> None:
        await store.write([row(0, total=10.0), row(50, total=14.0), row(61, total=15.0), row(130, total=21.0)])
        hours = await store.aggregate("well-1", ["total"], at(60), at(180), HOUR, Function.INCREASE)
        assert column(hours, "total") == [(at(60), 1.0), (at(120), 6.0)]
        clipped = await store.aggregate("well-1", ["total"], at(40), at(60), HOUR, Function.INCREASE)
        assert column(clipped, "total") == [(at(40), 4.0)]

    async def test_without_a_value_before_the_first_increase_starts_at_its_own_first(
        self, store: TelemetryStore
    ) -> None:
        await store.write([row(10, total=10.0), row(50, total=14.0), row(70, total=15.0), row(5, flow=1.0)])
        hours = await store.aggregate("well-1", ["total"], at(0), at(180), HOUR, Function.INCREASE)
        assert column(hours, "total") == [(at(0), 4.0), (at(60), 1.0)]

    async def test_increase_reaches_over_empty_intervals_and_resets(self, store: TelemetryStore) -> None:
        await store.write([row(0, total=10.0), row(600, total=16.0), row(1300, total=2.0)])
        hours = await store.aggregate("well-1", ["total"], at(0), at(2000), HOUR, Function.INCREASE)
        assert column(hours, "total") == [(at(0), 0.0), (at(600), 6.0), (at(1260), -14.0)]

    async def test_increase_of_several_variables_keeps_them_apart(self, store: TelemetryStore) -> None:
        await store.write([row(0, total=1.0), row(30, volume=100.0), row(60, total=3.0), row(150, volume=160.0)])
        hours = await store.aggregate("well-1", ["total", "volume"], at(0), at(180), HOUR, Function.INCREASE)
        assert hours == [
            Sample(at(0), {"total": 0.0, "volume": 0.0}),
            Sample(at(60), {"total": 2.0, "volume": None}),
            Sample(at(120), {"total": None, "volume": 60.0}),
        ]
