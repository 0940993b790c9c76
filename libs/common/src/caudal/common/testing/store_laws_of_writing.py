"""The laws of `TelemetryStore` about writing, erasing and names."""

import asyncio
from datetime import UTC, datetime
from itertools import zip_longest
from zoneinfo import ZoneInfo

import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Function, RowRefused, Sample, SeriesRow, TelemetryStore
from caudal.common.testing.store_rows import (
    BASE,
    EVER,
    HOUR,
    LONG_AGO,
    MICROSECOND,
    all_rows,
    at,
    column,
    flows,
    row,
)

EXACT = (
    *(0.0, -1.0, 1.0, 0.1 + 0.2, 1 / 3, 2.0**53, 2.0**53 + 2, -(2.0**53), 1e20, 123456789012345680000.0),
    *(1e21, 1e300, -1e300, 5e-324, 1.7976931348623157e308, 1e-7, -3200.0, 10**20),
)
"""Numbers that a careless store rounds."""

UNUSUAL = (
    *("time", "point", "provider", "select", "mean", "SELECT", "-", "_", "-1", "1", "a-b_c", "_time", "_field"),
    *("_measurement", "count_flow", "value", "at", "NULL", "true", "A" * 64),
)
"""Ids that mean something else to one store or another."""

HOSTILE = (
    *("", " ", "a b", "a,b", "a=b", "a'b", 'a"b', "a\\", "a\nb", "a;DROP MEASUREMENT telemetry", "x' OR '1'='1"),
    *("ñ", "a/b", "#", "a" * 65, "a\0b", "point\n", "flow~"),
)
"""What is no id."""


class WritingLaws:
    """What is written is there, as it was written, once."""

    async def test_rows_come_back_as_they_were_written(self, store: TelemetryStore) -> None:
        rows = [row(0, flow=1.5, total=10.0), row(1, flow=0.0), row(2, total=11.0)]
        report = await store.write(rows)
        assert (report.written, report.archived) == (3, 0)
        assert await all_rows(store) == rows

    async def test_writing_again_changes_nothing(self, store: TelemetryStore) -> None:
        rows = [row(minute, flow=minute / 3, total=minute * 2.0) for minute in range(50)]
        await store.write(rows)
        await store.write(rows)
        await store.write(list(reversed(rows)))
        assert await all_rows(store) == rows

    async def test_the_value_written_last_stays(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1.0), row(0, flow=2.0)])
        assert column(await flows(store)) == [(at(0), 2.0)]
        await store.write([row(0, flow=1.0)])
        assert column(await flows(store)) == [(at(0), 1.0)]

    async def test_fields_of_one_instant_are_merged(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1.0)])
        await store.write([row(0, total=5.0), row(1, flow=3.0)])
        assert await all_rows(store) == [row(0, flow=1.0, total=5.0), row(1, flow=3.0)]

    async def test_instants_are_kept_to_the_microsecond(self, store: TelemetryStore) -> None:
        instants = [BASE + n * MICROSECOND for n in (0, 1, 2, 999_999, 1_000_000)]
        await store.write([SeriesRow("well-1", instant, {"flow": float(n)}) for n, instant in enumerate(instants)])
        assert [sample.at for sample in await flows(store)] == instants
        between = await store.samples("well-1", ["flow"], instants[1], instants[2], 10)
        assert column(between) == [(instants[1], 1.0)]

    async def test_a_time_in_another_zone_is_the_same_instant(self, store: TelemetryStore) -> None:
        local = BASE.astimezone(ZoneInfo("America/Santiago"))
        await store.write([SeriesRow("well-1", local, {"flow": 1.0}), row(0, provider="", flow=2.0)])
        assert column(await store.samples("well-1", ["flow"], local, local + HOUR, 9)) == [(BASE, 2.0)]

    @pytest.mark.parametrize("value", EXACT)
    async def test_numbers_come_back_exactly(self, store: TelemetryStore, value: float) -> None:
        await store.write([row(0, flow=value)])
        assert column(await flows(store)) == [(at(0), value)]
        assert column(await store.aggregate("well-1", ["flow"], *EVER, HOUR, Function.LAST)) == [(at(0), value)]

    async def test_whole_numbers_and_fractions_share_a_variable(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1), row(1, flow=1.5)])
        await store.write([row(2, flow=2)])
        assert [value for _, value in column(await flows(store))] == [1.0, 1.5, 2.0]

    async def test_points_do_not_mix(self, store: TelemetryStore) -> None:
        await store.write([row(0, point="a", flow=1.0), row(0, point="b", flow=2.0), row(1, point="ab", flow=3.0)])
        assert column(await flows(store, point="a")) == [(at(0), 1.0)]
        assert column(await flows(store, point="b")) == [(at(0), 2.0)]
        assert await flows(store, point="c") == []
        assert await all_rows(store, "c") == []

    async def test_many_rows_are_all_there_in_order(self, store: TelemetryStore) -> None:
        rows = [row(minute, flow=minute * 0.37, total=float(minute)) for minute in range(10_000)]
        shuffled = [rows[(n * 7919) % len(rows)] for n in range(len(rows))]
        assert (await store.write(shuffled)).written == 10_000
        assert await all_rows(store) == rows
        assert await flows(store, "flow", "total") == [Sample(row.at, {**row.fields}) for row in rows]

    async def test_a_row_without_fields_is_nothing(self, store: TelemetryStore) -> None:
        assert (await store.write([row(0)])).written == 1
        assert (await store.write([])).written == 0
        assert await all_rows(store) == []

    async def test_a_row_without_provider_has_none(self, store: TelemetryStore) -> None:
        await store.write([row(0, provider="", flow=1.0)])
        assert await all_rows(store) == [row(0, provider="", flow=1.0)]

    @pytest.mark.parametrize("name", UNUSUAL)
    async def test_every_id_can_name_a_variable_and_a_point(self, store: TelemetryStore, name: str) -> None:
        rows = [SeriesRow(name, at(minute), {name: float(minute), "flow": 9.0}, name) for minute in range(3)]
        await store.write(rows)
        assert await all_rows(store, name) == rows
        assert [v for _, v in column(await flows(store, name, point=name), name)] == [0.0, 1.0, 2.0]
        summed = await store.aggregate(name, [name, "flow"], at(0), at(60), HOUR, Function.SUM)
        assert summed == [Sample(at(0), {name: 3.0, "flow": 27.0})]
        await store.write([SeriesRow(name, at(1), {}, name, erased=(name,))])
        assert [v for _, v in column(await flows(store, name, point=name), name)] == [0.0, 2.0]
        assert await store.trim(name, 1, at(1)) == 1
        await store.drop(name)
        assert await all_rows(store, name) == []

    @pytest.mark.parametrize("name", HOSTILE)
    async def test_what_is_no_id_is_refused_and_does_no_harm(self, store: TelemetryStore, name: str) -> None:
        good = row(0, flow=1.0)
        bad = [SeriesRow(name, at(1), {"flow": 1.0}), SeriesRow("well-1", at(2), {name: 1.0})]
        bad += [SeriesRow("well-1", at(4), {"flow": 2.0}, erased=(name,))]
        bad += [SeriesRow("well-1", at(3), {"flow": 1.0}, provider=name)] if name else []
        for wrong in bad:
            with pytest.raises(RowRefused) as refusal:
                await store.write([wrong, good])
            assert refusal.value.row == wrong
        for question in (
            store.samples(name, ["flow"], *EVER, 10),
            store.samples("well-1", [name], *EVER, 10),
            store.aggregate("well-1", [name], *EVER, HOUR, Function.MEAN),
            store.aggregate(name, ["flow"], *EVER, HOUR, Function.MEAN),
            store.drop(name),
            store.trim(name, 0, at(9)),
            all_rows(store, name),
        ):
            with pytest.raises(InvalidInput):
                await question
        assert await all_rows(store) == [good]

    @pytest.mark.parametrize(
        ("bad", "names"),
        [
            (row(1, flow=float("nan")), "flow"),
            (row(1, flow=float("inf")), "flow"),
            (row(1, flow=float("-inf")), "flow"),
            (row(1, flow=True), "flow"),
            (row(1, flow=10**400), "flow"),
            (SeriesRow("well-1", at(1), {"flow": "1"}), "flow"),  # type: ignore[dict-item]
            (SeriesRow("well-1", at(1).replace(tzinfo=None), {"flow": 1.0}), "zone"),
            (SeriesRow("well-1", datetime(1500, 1, 1, tzinfo=UTC), {"flow": 1.0}), "1678"),
            (SeriesRow("well-1", datetime(2500, 1, 1, tzinfo=UTC), {"flow": 1.0}), "2261"),
        ],
    )
    async def test_a_bad_row_is_named_and_the_others_are_written(
        self, store: TelemetryStore, bad: SeriesRow, names: str
    ) -> None:
        with pytest.raises(RowRefused, match=names) as refusal:
            await store.write([row(0, flow=1.0), bad, row(2, flow=2.0), row(0, base=LONG_AGO, flow=3.0)])
        error = refusal.value
        assert (error.row, error.refused, error.report.written, error.report.archived) == (bad, 1, 3, 1)
        assert [value for _, value in column(await flows(store))] == [3.0, 1.0, 2.0]

    async def test_an_erased_field_is_gone_and_the_others_stay(self, store: TelemetryStore) -> None:
        await store.write([row(minute, flow=1.0, total=2.0, level=3.0) for minute in range(3)])
        await store.write([SeriesRow("well-1", at(1), {"flow": 9.0}, "twin", erased=("total",))])
        expected = [row(0, flow=1.0, total=2.0, level=3.0), row(1, flow=9.0, level=3.0)]
        assert await all_rows(store) == [*expected, row(2, flow=1.0, total=2.0, level=3.0)]

    async def test_a_row_whose_last_field_is_erased_is_gone(self, store: TelemetryStore) -> None:
        await store.write([row(0, flow=1.0), row(1, flow=2.0)])
        await store.write([SeriesRow("well-1", at(0), {}, "twin", erased=("flow", "never_there"))])
        assert await all_rows(store) == [row(1, flow=2.0)]
        assert await store.aggregate("well-1", ["flow"], *EVER, HOUR, Function.SUM) == [Sample(at(0), {"flow": 2.0})]

    async def test_erasing_reaches_every_provider_and_the_archive(self, store: TelemetryStore) -> None:
        rows = [row(0, provider=name, base=LONG_AGO, flow=1.0, total=2.0) for name in ("", "nettra", "twin")]
        await store.write(rows)
        await store.write([SeriesRow("well-1", LONG_AGO, {"total": 3.0}, "nettra", erased=("flow",))])
        assert await flows(store) == []
        assert await all_rows(store) == [row(0, base=LONG_AGO, total=2.0)]

    async def test_within_a_batch_what_comes_last_counts(self, store: TelemetryStore) -> None:
        erase = SeriesRow("well-1", at(0), {"level": 1.0}, "twin", erased=("flow",))
        await store.write([row(0, flow=1.0), erase])
        assert await all_rows(store) == [row(0, level=1.0)]
        await store.write([erase, row(0, flow=2.0)])
        assert await all_rows(store) == [row(0, level=1.0, flow=2.0)]
        await store.write([SeriesRow("well-1", at(0), {"flow": 3.0}, "twin", erased=("flow", "level"))])
        assert await all_rows(store) == [row(0, flow=3.0)]

    async def test_many_erasures_in_one_batch(self, store: TelemetryStore) -> None:
        await store.write([row(minute, flow=1.0, total=float(minute)) for minute in range(250)])
        every_second = [SeriesRow("well-1", at(minute), {}, "twin", erased=("flow",)) for minute in range(0, 250, 2)]
        await store.write(every_second)
        await store.write(every_second)
        assert [sample.at for sample in await flows(store)] == [at(minute) for minute in range(1, 250, 2)]
        assert [total for _, total in column(await flows(store, "total"), "total")] == [float(n) for n in range(250)]

    async def test_erasing_the_whole_of_a_variable(self, store: TelemetryStore) -> None:
        rows = [row(minute, provider=("", "twin")[minute % 2], flow=1.0, total=float(minute)) for minute in range(3000)]
        await store.write([*rows, row(-1, total=7.0), row(1, point="well-2", flow=1.0)])
        erase = [SeriesRow("well-1", at(minute), {}, erased=("flow",)) for minute in range(3000)]
        await store.write([*erase, SeriesRow("well-2", at(1), {"level": 1.0}, "twin", erased=("flow",))])
        assert await flows(store) == []
        assert [total for _, total in column(await flows(store, "total"), "total")] == [7.0, *map(float, range(3000))]
        assert await all_rows(store, "well-2") == [row(1, point="well-2", level=1.0)]

    async def test_writes_that_meet_do_not_disturb_each_other(self, store: TelemetryStore) -> None:
        await store.write([row(minute, flow=1.0, total=float(minute)) for minute in range(60)])
        erase = [[SeriesRow("well-1", at(minute), {}, "twin", erased=("flow",))] for minute in range(0, 60, 3)]
        write = [[row(minute, level=1.0)] for minute in range(60)]
        await asyncio.gather(*(store.write(rows) for pair in zip_longest(erase, write) for rows in pair if rows))
        totals = [(at(minute), float(minute)) for minute in range(60)]
        assert column(await flows(store, "total"), "total") == totals
        assert len(await flows(store, "level")) == 60
        assert [sample.at for sample in await flows(store)] == [at(minute) for minute in range(60) if minute % 3]
