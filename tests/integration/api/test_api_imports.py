"""Points from an older system: dry run, run, run again; on both databases."""

import json
import time
from io import BytesIO
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.domain.permissions import CONSOLE
from caudal.gateway_api.handlers.imports import AT_ONCE, How, import_file
from figures import tell
from integration.api.house import ApiHouse, furnished
from integration.api.importing import POINTS, counts, dump, imported, refusals


class TestPoints:
    async def test_dry_run_tells_the_plan_and_changes_nothing(self, acme: ApiHouse) -> None:
        before = await dump(acme)
        report = await imported(acme.admin, POINTS, dry=True)
        assert await dump(acme) == before
        assert (report["dry_run"], report["done"]) == (True, False)
        assert counts(report) == (2, 0, 0, 0)
        assert report["columns"]["Cota"] == "altitude_m"
        assert report["left_out"] == ["Observaciones"]
        changes = report["steps"][0]["changes"]
        assert changes["latitude"] == [None, -33.4569]
        assert changes["name"] == [None, "=1+1"]

    async def test_twice_is_once(self, acme: ApiHouse) -> None:
        planned = await imported(acme.admin, POINTS, dry=True)
        first = await imported(acme.admin, POINTS)
        assert first["steps"] == planned["steps"]
        there = await dump(acme)
        second = await imported(acme.admin, POINTS)
        assert (counts(first), counts(second)) == ((2, 0, 0, 0), (0, 0, 2, 0))
        assert await dump(acme) == there

    async def test_cells_are_read_as_they_were_meant(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        well = (await acme.admin.get("/api/points/pozo-1")).json()
        assert (well["type"], well["latitude"], well["altitude_m"], well["client"]) == ("WELL", -33.4569, 520.5, "acme")
        river = (await acme.admin.get("/api/points/rio-2")).json()
        assert (river["type"], river["name"], river["altitude_m"]) == ("RIVER", "@río", None)

    async def test_formula_stays_text_and_comes_out_guarded(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        assert (await acme.admin.get("/api/points/pozo-1")).json()["name"] == "=1+1"
        table = (await acme.admin.get("/api/points/", params={"format": "csv"})).text
        assert "'=1+1" in table
        assert counts(await imported(acme.admin, table, map={"ignore": ["created_at", "updated_at"]}))[3] == 0
        assert (await acme.admin.get("/api/points/pozo-1")).json()["name"] == "=1+1"

    async def test_mapping_says_columns_constants_and_words(self, acme: ApiHouse) -> None:
        said = {
            "columns": {"code": "N°", "device": "N°", "source.keys.flow": "canal"},
            "constants": {
                "client": "acme",
                "time_zone": "America/Santiago",
                "provider": "tago",
                "source.remote_id": "r",
            },
            "values": {"type": {"noria": "WELL"}},
        }
        await acme.add_provider("tago")
        report = await imported(acme.admin, "N°,clase,canal\nw-1,noria,q1\n", map=said)
        assert counts(report) == (1, 0, 0, 0)
        assert report["left_out"] == ["clase"]
        said["columns"]["type"] = "clase"
        report = await imported(acme.admin, "N°,clase,canal\nw-1,noria,q1\nw-2,pantano,q1\n", map=said)
        assert counts(report) == (0, 0, 1, 1)
        assert refusals(report)[0][1] == "type"
        kept = (await acme.admin.get("/api/points/w-1")).json()
        assert (kept["device"], kept["time_zone"]) == ("w-1", "America/Santiago")
        assert kept["source"] == {"remote_id": "r", "keys": {"flow": "q1"}, "history_from": None}

    async def test_changes_are_told_field_by_field_and_empty_cells_change_nothing(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        report = await imported(acme.admin, "code,name,altitude_m\npozo-1,Pozo Uno,\nrio-2,,12\n")
        assert [(step["key"], step["changes"]) for step in report["steps"]] == [
            ("pozo-1", {"name": ["=1+1", "Pozo Uno"]}),
            ("rio-2", {"altitude_m": [None, 12.0]}),
        ]
        assert (await acme.admin.get("/api/points/pozo-1")).json()["altitude_m"] == 520.5

    async def test_bad_row_stops_no_good_one(self, acme: ApiHouse) -> None:
        rows = (
            "code,device,latitude,longitude,type,status\n"
            "a,m-a,95,0,WELL,\n"
            "b,m-b,north,0,WELL,\n"
            "c,m-c,,,WELL,GONE\n"
            "d,,,,WELL,\n"
            "e,m-e,,,GEYSER,\n"
            "f,m-f,,,WELL,\n"
            "f,m-f,,,WELL,\n"
            "g,m-g\n"
            "h h,m-h,,,WELL,\n"
            "i,m-f,,,WELL,\n"
        )
        report = await imported(acme.admin, rows)
        assert counts(report) == (1, 0, 0, 9)
        assert [(row, field) for row, field, _ in refusals(report)] == [
            (2, "latitude"),
            (3, "latitude"),
            (4, "status"),
            (5, "device"),
            (6, "type"),
            (8, "code"),
            (9, "row"),
            (10, "code"),
            (11, "device"),
        ]
        assert (await acme.admin.get("/api/points/f")).status_code == 200
        north = report["steps"][1]
        assert (north["column"], north["value"]) == ("latitude", "north")

    async def test_all_or_nothing_does_nothing_if_one_is_refused(self, acme: ApiHouse) -> None:
        before = await dump(acme)
        report = await imported(acme.admin, "code,device\na,m-a\nb b,m-b\n", all_or_nothing=True)
        assert (report["done"], report["refused"]) == (False, 1)
        assert await dump(acme) == before
        report = await imported(acme.admin, "code,device\na,m-a\nb,m-b\n", all_or_nothing=True)
        assert (report["done"], report["created"]) == (True, 2)

    async def test_json_has_variables_within(self, acme: ApiHouse) -> None:
        point = {
            "code": "w",
            "device": "m-w",
            "variables": [{"code": "total", "type": "totalizer", "counter": {"meter": {"pulses_per_liter": 0.1}}}],
        }
        assert counts(await imported(acme.admin, json.dumps([point, {"code": "x", "device": "m-x", "nam": 1}]))) == (
            2,
            0,
            0,
            0,
        )
        more = {"code": "w", "variables": [{"code": "total", "name": "Volumen"}, {"code": "flow", "type": "flow"}]}
        report = await imported(acme.admin, json.dumps({"points": [more, 7]}))
        assert counts(report) == (0, 1, 0, 1)
        kept = (await acme.admin.get("/api/points/w")).json()["variables"]
        assert [variable["code"] for variable in kept] == ["total", "flow"]
        assert kept[0]["counter"]["meter"]["pulses_per_liter"] == 0.1
        misspelt = {"code": "w", "variables": [{"code": "flow", "sacle": 2}]}
        report = await imported(acme.admin, json.dumps([misspelt]))
        assert refusals(report) == [(1, "variables.1.sacle", "is no field")]

    async def test_parquet_keeps_its_types(self, acme: ApiHouse) -> None:
        sink = BytesIO()
        table = {"code": ["p-1", "p-2"], "device": ["7", "8"], "latitude": [-33.5, None], "lon": [-70.0, None]}
        pq.write_table(pa.table(table), sink)
        assert counts(await imported(acme.admin, sink.getvalue())) == (2, 0, 0, 0)
        assert (await acme.admin.get("/api/points/p-1")).json()["latitude"] == -33.5
        assert (await acme.admin.get("/api/points/p-2")).json()["latitude"] is None

    async def test_changes_are_audited_and_told(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        journal = (await acme.admin.get("/api/points/pozo-1/journal/")).json()["items"]
        assert [(line["action"], line["who"]) for line in journal] == [("create", "admin@caudal.test")]
        assert {message.topic for message in acme.bus.published} >= {"telemetry/m-1/config", "telemetry/m-2/config"}

    async def test_odd_characters_are_refused_by_row(self, acme: ApiHouse) -> None:
        deep = "[" * 5000
        rows = [{"Code": "a\x00b", "DEVICE": "d"}, {"Code": "c", "DEVICE": "d\x00"}, {"Code": 7.5, "DEVICE": "e"}]
        rows += [{"Code": "v", "DEVICE": "v", "variables": deep}, {"Code": "n", "DEVICE": "n", "name": "\x00"}]
        report = await imported(acme.admin, json.dumps(rows))
        assert [field for _, field, _ in refusals(report)] == ["code", "device", "code", "variables", "name"]
        owners = [{"user": "\x00", "point": "\x00", "kind": "PRIMARY"}]
        assert counts(await imported(acme.admin, json.dumps(owners), "owners")) == (0, 0, 0, 1)


async def test_import_that_was_stopped_half_way_goes_on_where_it_was(acme: ApiHouse, tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text("code,device,client\n" + "".join(f"s-{n},t-{n},acme\n" for n in range(AT_ONCE + 50)))
    desk, how = acme.house.door.imports, How(kind=ImportKind.POINTS)

    def die(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await import_file(desk, CONSOLE, path, how, die)
    assert await acme.rows("select count(*) from points") == [(AT_ONCE,)]
    outcomes = [await import_file(desk, CONSOLE, path, how) for _ in range(2)]
    assert [(each.created, each.unchanged) for each in outcomes] == [(50, AT_ONCE), (0, AT_ONCE + 50)]
    told = "select count(*) from audit_log where kind = 'point' and action = 'create'"
    assert await acme.rows(told) == [(AT_ONCE + 50,)]


async def test_ten_thousand_points_are_planned_in_one_file(database_url: str, tmp_path: Path) -> None:
    """What a region's older system holds; how long a tenth of it takes to go in, and to be found unchanged."""
    lines = [f"p-{n},m-{n},Pozo {n},{-17 - n / 1000},{-70 - n / 10000}\n" for n in range(10_000)]
    whole, tenth = tmp_path / "whole.csv", tmp_path / "tenth.csv"
    for path, some in ((whole, lines), (tenth, lines[:1000])):
        path.write_text("codigo,dispositivo,nombre,lat,lon\n" + "".join(some))
    times = []
    async with furnished(database_url, tmp_path / "data") as api:
        for path, is_dry in ((whole, True), (tenth, False), (whole, True)):
            how = How(kind=ImportKind.POINTS, dry_run=is_dry)
            begun = time.perf_counter()
            report = await import_file(api.house.door.imports, CONSOLE, path, how)
            times.append(time.perf_counter() - begun)
        assert counts(msgspec.to_builtins(report)) == (9_000, 0, 1_000, 0)
        assert await api.rows("select count(*) from points") == [(1_000,)]
    kind = database_url.partition("+")[0]
    tell(f"import, {kind}", ten_thousand_planned_s=times[0], thousand_carried_out_s=times[1], planned_again_s=times[2])
