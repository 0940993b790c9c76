"""/api/telemetry/data/: pages, intervals, formats, flags, and what comes from the archive."""

import csv
from datetime import datetime, timedelta
from io import BytesIO, StringIO
from typing import Any

import pyarrow.parquet as pq
import pytest

from caudal.common.domain.errors import Transient
from caudal.common.ports import SeriesRow
from integration.api.house import NOW, ApiHouse, reading

PATH = "/api/telemetry/data/"
HOUR = timedelta(hours=1)


async def fill(api: ApiHouse, hours: int, start: datetime = NOW - 24 * HOUR) -> None:
    """A point with one value an hour: the hour's number, and a flow at every second hour."""
    await api.add_point()
    rows = []
    for number in range(hours):
        fields = {"total": float(number)} | ({"flow": number / 2} if number % 2 == 0 else {})
        rows.append(SeriesRow("well-1", start + number * HOUR, fields))
    await api.store.write(rows)


class TestWhoMay:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get(f"{PATH}?point=well-1")).status_code == 401
        assert (await api.with_key("caudal_x").get(f"{PATH}?point=well-1")).status_code == 401

    async def test_unknown_point_is_not_found(self, api: ApiHouse) -> None:
        assert (await api.reader.get(f"{PATH}?point=well-9")).status_code == 404


class TestSamples:
    async def test_last_day_of_all_variables_when_nothing_is_said(self, api: ApiHouse) -> None:
        await fill(api, 24)
        said = (await api.reader.get(f"{PATH}?point=well-1")).json()
        assert said["variables"] == {"total": "m3", "flow": "l/s"}
        assert (said["from"], said["to"]) == ("2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z")
        assert len(said["samples"]) == 24
        assert said["samples"][1] == {"at": "2026-03-01T11:00:00Z", "values": {"total": 1.0, "flow": None}}
        assert (said["every"], said["function"], said["archive"], said["next_cursor"]) == (None, None, None, None)

    async def test_pages_bring_every_sample_once(self, api: ApiHouse) -> None:
        await fill(api, 24)
        found: list[str] = []
        cursor = ""
        while True:
            said = (await api.reader.get(f"{PATH}?point=well-1&limit=7{cursor}")).json()
            found += [sample["at"] for sample in said["samples"]]
            if said["next_cursor"] is None:
                break
            cursor = f"&cursor={said['next_cursor']}"
        assert len(found) == len(set(found)) == 24
        assert found == sorted(found)

    async def test_range_is_half_open(self, api: ApiHouse) -> None:
        await fill(api, 24)
        query = "from=2026-03-01T11:00:00Z&to=2026-03-01T08:00:00-05:00&variables=total"
        said = (await api.reader.get(f"{PATH}?point=well-1&{query}")).json()
        assert [sample["values"] for sample in said["samples"]] == [{"total": 1.0}, {"total": 2.0}]

    async def test_plus_sign_that_was_not_escaped_is_understood(self, api: ApiHouse) -> None:
        await fill(api, 24)
        answer = await api.reader.get(f"{PATH}?point=well-1&from=2026-03-01T12:00:00+01:00")
        assert answer.json()["from"] == "2026-03-01T11:00:00Z"

    async def test_archive_is_told(self, api: ApiHouse) -> None:
        await fill(api, 3, NOW - timedelta(days=100))
        said = (await api.reader.get(f"{PATH}?point=well-1&from=2025-01-01T00:00:00Z")).json()
        assert len(said["samples"]) == 3
        assert said["archive"] == {"from": "2025-01-01T00:00:00Z", "to": "2025-12-02T10:00:00Z"}

    async def test_water_table_depth_is_there_where_the_sensor_is(self, api: ApiHouse) -> None:
        await api.add_point(variables=[{"code": "level", "type": "level", "sensor_depth_m": 80}])
        await api.store.write([SeriesRow("well-1", NOW - HOUR, {"level": 20.0, "water_table_depth": 60.0})])
        said = (await api.reader.get(f"{PATH}?point=well-1")).json()
        assert said["samples"][0]["values"] == {"level": 20.0, "water_table_depth": 60.0}
        assert said["variables"]["water_table_depth"] == "m"

    async def test_point_without_variables_has_no_samples(self, api: ApiHouse) -> None:
        await api.add_point(variables=[])
        assert (await api.reader.get(f"{PATH}?point=well-1")).json()["samples"] == []

    async def test_flags_come_with_samples_if_asked_for(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.keep(*(reading(NOW - hour * HOUR, total=total) for hour, total in ((3, 100), (2, 101), (1, 0))))
        said = (await api.reader.get(f"{PATH}?point=well-1&variables=total&flags=true")).json()
        assert [sample["flags"] for sample in said["samples"]][:2] == [{}, {}]
        assert "UNCONFIRMED" in said["samples"][2]["flags"]["total"]

    async def test_store_that_is_away_is_said(self, api: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> None:
        await fill(api, 3)

        async def away(*_: Any) -> Any:
            raise Transient("the store is away", retry_after_s=3)

        monkeypatch.setattr(api.store, "samples", away)
        for wanted in ("json", "csv", "parquet"):
            answer = await api.reader.get(f"{PATH}?point=well-1&format={wanted}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("", "point"),
            ("point=a/b", "point"),
            ("point=well-1&variables=level", "variables"),
            ("point=well-1&from=yesterday", "from"),
            ("point=well-1&from=2026-03-01", "from"),
            ("point=well-1&from=2026-03-01T00:00:00", "from"),
            ("point=well-1&from=0000-01-01T00:00:00Z", "from"),
            ("point=well-1&from=0001-01-01T00:00:00%2B14:00", "from"),
            ("point=well-1&to=9999-12-31T23:59:59-14:00", "to"),
            ("point=well-1&from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "from"),
            ("point=well-1&from=%00", "from"),
            ("point=well-1&every=1", "every"),
            ("point=well-1&every=0m", "every"),
            ("point=well-1&every=-1h", "every"),
            ("point=well-1&every=9999999w", "every"),
            ("point=well-1&every=1s&from=2020-01-01T00:00:00Z", "every"),
            ("point=well-1&every=1h&function=median", "function"),
            ("point=well-1&format=xml", "format"),
            ("point=well-1&limit=0", "limit"),
            ("point=well-1&limit=100001", "limit"),
            ("point=well-1&limit=99999999999999999999999", "limit"),
            ("point=well-1&cursor=x", "cursor"),
            ("point=well-1&cursor=MTox", "cursor"),
            ("point=well-1&cursor=%F0%9F%98%80", "cursor"),
            ("point=well-1&flags=true&every=1h", "flags"),
            ("point=well-1&flags=true&format=csv", "flags"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(self, api: ApiHouse, query: str, field: str) -> None:
        await api.add_point()
        answer = await api.reader.get(f"{PATH}?{query}")
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"] == field


class TestIntervals:
    @pytest.mark.parametrize(
        ("function", "totals"),
        [
            ("mean", [2.5, 8.5, 14.5, 20.5]),
            ("min", [0.0, 6.0, 12.0, 18.0]),
            ("max", [5.0, 11.0, 17.0, 23.0]),
            ("sum", [15.0, 51.0, 87.0, 123.0]),
            ("last", [5.0, 11.0, 17.0, 23.0]),
            ("increase", [5.0, 6.0, 6.0, 6.0]),
        ],
    )
    async def test_functions(self, api: ApiHouse, function: str, totals: list[float]) -> None:
        await fill(api, 24, datetime.fromisoformat("2026-03-01T00:00:00Z"))
        query = f"from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&every=6h&function={function}&variables=total"
        said = (await api.reader.get(f"{PATH}?point=well-1&{query}")).json()
        assert [sample["values"]["total"] for sample in said["samples"]] == totals
        assert [sample["at"][11:13] for sample in said["samples"]] == ["00", "06", "12", "18"]
        assert (said["every"], said["function"]) == ("6h", function)


class TestFormats:
    async def test_csv_brings_the_whole_range(self, api: ApiHouse) -> None:
        await fill(api, 24)
        answer = await api.reader.get(f"{PATH}?point=well-1&format=csv&limit=2")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="well-1.csv"'
        rows = list(csv.reader(StringIO(answer.text)))
        assert rows[0] == ["at", "total", "flow"]
        assert rows[1:3] == [["2026-03-01T10:00:00Z", "0", "0"], ["2026-03-01T11:00:00Z", "1", ""]]
        assert len(rows) == 25

    async def test_parquet_brings_the_whole_range(self, api: ApiHouse) -> None:
        await fill(api, 24)
        answer = await api.reader.get(f"{PATH}?point=well-1", headers={"Accept": "application/vnd.apache.parquet"})
        table = pq.read_table(BytesIO(answer.content))
        assert table.column_names == ["at", "total", "flow"]
        assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
        assert table.column("flow").to_pylist()[:3] == [0.0, None, 1.0]
        assert table.num_rows == 24

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("text/csv", "text/csv"),
            ("text/html, text/csv;q=0.9, */*", "text/csv"),
            ("*/*", "application/json"),
            ("image/png", "application/json"),
            ("", "application/json"),
        ],
    )
    async def test_accept_header_chooses(self, api: ApiHouse, accept: str, kind: str) -> None:
        await fill(api, 1)
        answer = await api.reader.get(f"{PATH}?point=well-1", headers={"Accept": accept})
        assert answer.headers["content-type"].startswith(kind)

    @pytest.mark.parametrize("wanted", ["csv", "parquet"])
    async def test_empty_range_is_an_empty_table(self, api: ApiHouse, wanted: str) -> None:
        await api.add_point()
        answer = await api.reader.get(f"{PATH}?point=well-1&format={wanted}")
        assert answer.status_code == 200
        if wanted == "csv":
            assert answer.text == "at,total,flow\n"
        else:
            assert pq.read_table(BytesIO(answer.content)).num_rows == 0

    async def test_intervals_come_as_tables_too(self, api: ApiHouse) -> None:
        await fill(api, 24)
        answer = await api.reader.get(f"{PATH}?point=well-1&format=csv&every=1d&function=max&variables=total")
        assert answer.text.splitlines()[1:] == ["2026-03-01T10:00:00Z,13", "2026-03-02T00:00:00Z,23"]
