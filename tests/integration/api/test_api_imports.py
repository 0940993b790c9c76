"""Imports from an older system: dry run, run, run again; on both databases."""

import json
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.domain.permissions import CONSOLE
from caudal.gateway_api.handlers.imports import How, import_file
from figures import tell
from integration.api.house import ApiHouse, furnished

POINTS = (
    "\ufeffcodigo_obra;dispositivo;Nombre;tipo;Latitud;Longitud;Cota;cliente;Observaciones\r\n"
    "pozo-1;m-1;=1+1;POZO;-33,4569;-70,6483;520,5;acme;nada\r\n"
    "rio-2;m-2;'@río;Río;-33,1;-70,2;;acme;\r\n"
)
VARIABLES = (
    "punto,codigo,tipo,minimo,maximo,pulsos_por_litro\n"
    "pozo-1,total,totalizador,,,0.1\n"
    "pozo-1,level,nivel,0,80.5,\n"
    "rio-2,flow,caudal,,,\n"
)


async def upload(client: httpx.AsyncClient, content: str | bytes) -> str:
    """Hand a file in; where it is kept."""
    kept = await client.post("/api/import/upload", files={"file": ("old.csv", content)})
    assert kept.status_code == 200, kept.text
    return str(kept.json()["path"])


async def imported(
    client: httpx.AsyncClient, content: str | bytes, kind: str = "points", dry: bool = False, **body: Any
) -> dict[str, Any]:
    """Hand a file in and import it; the report."""
    await upload(client, content)
    answer = await client.post("/api/import/", json={"kind": kind, **body}, params={"dry_run": dry})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    """Created, changed, unchanged, refused."""
    return report["created"], report["changed"], report["unchanged"], report["refused"]


def refusals(report: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Row, field and reason of each refused row."""
    return [(step["row"], step["field"], step["reason"]) for step in report["steps"] if step["outcome"] == "refused"]


async def dump(api: ApiHouse) -> list[list[tuple[Any, ...]]]:
    """All that an import may write."""
    tables = ("points", "variables", "owners", "audit_log", "gateway_outbox")
    return [await api.rows(f"select * from {table} order by 1, 2") for table in tables]


@pytest.fixture
async def acme(api: ApiHouse) -> ApiHouse:
    """The API with two clients."""
    for client in ("acme", "other"):
        answer = await api.admin.post("/api/clients/", json={"code": client})
        assert answer.status_code == 201
    return api


async def client_admin(api: ApiHouse, client: str = "acme") -> httpx.AsyncClient:
    """Who looks after a client."""
    return api.as_(await api.add_user(email=f"admin@{client}.test", role="client_admin", client=client))


class TestWhoMay:
    async def test_nobody_and_readers_may_not(self, api: ApiHouse) -> None:
        for client, status in ((api.client, 401), (api.reader, 403)):
            assert (await client.post("/api/import/", json={"kind": "points"})).status_code == status
            assert (await client.post("/api/import/upload", files={"file": ("a", b"a")})).status_code == status

    async def test_client_imports_into_itself_alone(self, acme: ApiHouse) -> None:
        await acme.add_point(code="foreign", device="f-1", client="other")
        mine = await client_admin(acme)
        report = await imported(
            mine,
            "code,device,client\nown,o-1,\nstolen,o-2,other\nforeign,o-3,\ntaken,f-1,\n",
        )
        assert counts(report) == (1, 0, 0, 3)
        assert refusals(report) == [
            (3, "client", "there is no client 'other'"),
            (4, "code", "this code is taken"),
            (5, "device", "another point claims this device"),
        ]
        assert (await mine.get("/api/points/own")).json()["client"] == "acme"
        assert (await acme.admin.get("/api/points/foreign")).json()["device"] == "f-1"

    async def test_client_reads_no_file_of_others(self, acme: ApiHouse) -> None:
        path = await upload(acme.admin, POINTS)
        mine = await client_admin(acme)
        await upload(mine, "code,device\nown,o-1\n")
        for wanted in (path, Path(path).name, "../caudal.db"):
            answer = await mine.post("/api/import/", json={"kind": "points", "path": wanted})
            assert answer.status_code == 422
            assert answer.json()["error"]["fields"][0]["field"] == "path"

    async def test_history_of_a_client_is_of_its_own_points(self, acme: ApiHouse) -> None:
        mine, acme.processor.answer = await client_admin(acme), {"rows": 1}
        await upload(mine, "ts,id,flow\n2026-03-02T00:00:00Z,m-1,1\n")
        body = {"kind": "history", "map": {"constants": {"device": "m-1"}}}
        answer = await mine.post("/api/import/", json=body)
        assert answer.status_code == 200, answer.text
        [command] = acme.processor.commands
        assert command.params["options"] == {"device": "m-1", "client": "acme"}
        assert (await mine.get(answer.headers["location"])).json()["state"] == "done"
        order = answer.headers["location"].rpartition("/")[2]
        assert (await mine.get(f"/api/windows/{order}")).status_code == 403

    async def test_history_of_others_is_neither_read_nor_asked_for(self, acme: ApiHouse) -> None:
        mine = await client_admin(acme)
        foreign = await upload(acme.admin, "ts,id,flow\n2026-03-02T00:00:00Z,m-1,1\n")
        done = await acme.admin.post("/api/import/", json={"kind": "history"})
        await upload(mine, "ts,id,flow\n2026-03-02T00:00:00Z,m-1,1\n")
        order = done.headers["location"].rpartition("/")[2]
        assert (await mine.get(f"/api/telemetry/process/{order}")).status_code == 404
        refused = await mine.post("/api/import/", json={"kind": "history", "path": foreign})
        assert refused.json()["error"]["fields"][0]["field"] == "path"
        named = await mine.post("/api/import/", json={"kind": "history", "map": {"constants": {"client": "other"}}})
        assert named.json()["error"]["fields"][0]["field"] == "map.constants.client"
        assert len(acme.processor.commands) == 1


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
        assert kept["source"] == {"remote_id": "r", "keys": {"flow": "q1"}}

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
            "c,m-c,,,WELL,OFFLINE\n"
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


class TestVariables:
    async def test_variables_go_into_their_points_once(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        report = await imported(acme.admin, VARIABLES, "variables")
        assert counts(report) == (3, 0, 0, 0)
        assert counts(await imported(acme.admin, VARIABLES, "variables")) == (0, 0, 3, 0)
        level = (await acme.admin.get("/api/variables/pozo-1/level")).json()
        assert (level["type"], level["limits"]["max"]) == ("level", 80.5)
        total = (await acme.admin.get("/api/variables/pozo-1/total")).json()
        assert total["counter"]["meter"]["pulses_per_liter"] == 0.1

    async def test_refusals_name_the_field_of_the_variable(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        rows = "point,code,type,min,max\nnone,a,flow,,\npozo-1,b,speed,,\npozo-1,c,flow,5,1\npozo-1,d,,,\n"
        report = await imported(acme.admin, rows, "variables")
        assert [(row, field) for row, field, _ in refusals(report)] == [
            (2, "point"),
            (3, "type"),
            (4, "limits.min"),
            (5, "type"),
        ]


class TestOwners:
    async def test_owners_are_named_by_their_address(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        user = await acme.add_user(email="ana@acme.test", role="client_user", client="acme")
        await acme.add_user(email="eva@other.test", role="client_user", client="other")
        rows = (
            "correo;punto;tipo;permisos\n"
            "Ana@acme.test;pozo-1;Primario;points:read, telemetry:read\n"
            "eva@other.test;pozo-1;PRIMARY;\n"
            "nobody@acme.test;pozo-1;PRIMARY;\n"
            "ana@acme.test;nothing;PRIMARY;\n"
            "ana@acme.test;rio-2;BOSS;\n"
            "ana@acme.test;rio-2;SECONDARY;users:write\n"
        )
        report = await imported(acme.admin, rows, "owners")
        assert [(row, field) for row, field, _ in refusals(report)] == [
            (3, "user"),
            (4, "user"),
            (5, "point"),
            (6, "kind"),
            (7, "permissions"),
        ]
        assert counts(await imported(acme.admin, rows, "owners")) == (0, 0, 1, 5)
        changed = "email,point,kind,permissions\nana@acme.test,pozo-1,PRIMARY,points:read\n"
        report = await imported(acme.admin, changed, "owners")
        assert report["steps"][0]["changes"] == {"permissions": [["points:read", "telemetry:read"], ["points:read"]]}
        [owner] = (await acme.admin.get("/api/users/owners/")).json()["items"]
        assert (owner["user"], owner["point"], owner["permissions"]) == (user, "pozo-1", ["points:read"])


class TestHistory:
    async def test_history_is_run_as_a_window(self, api: ApiHouse) -> None:
        api.processor.answer = {"rows": 1}
        await upload(api.admin, "fecha,obra,q\n2026-03-02T00:00:00Z,m-1,1\n")
        columns = {"measured_at": "fecha", "point": "obra", "flow": "q"}
        body = {"kind": "history", "map": {"columns": columns, "constants": {"time_zone": "America/Santiago"}}}
        answer = await api.admin.post("/api/import/", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["loader_response"]["rows"] == 1
        assert api.processor.commands[-1].params["options"] == {
            "time_column": "fecha",
            "id_column": "obra",
            "columns": {"q": "flow"},
            "time_zone": "America/Santiago",
        }

    async def test_what_windows_do_not_know_is_refused(self, api: ApiHouse) -> None:
        await upload(api.admin, "ts,id,flow\n")
        body = {"kind": "history", "map": {"values": {"flow": {"x": 1}}}}
        answer = await api.admin.post("/api/import/", json=body)
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, "map.values")


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "body", "field"),
        [
            ("code\n", {}, "map.delimiter"),
            ('code,device\n"a,b\n', {}, "file"),
            ("[{]", {}, "file"),
            ("code,code\n", {}, "file"),
            ("PAR1 and nothing more", {}, "file"),
            ("code,device\n\\ud800,d\n", {"map": {"encoding": "unicode_escape"}}, "file"),
            ("code,device\n+2AA-,d\n", {"map": {"encoding": "utf-7"}}, "file"),
            ("code,device\n", {"map": {"columns": {"code": "nowhere"}}}, "map.columns.code"),
            ("code,device\n", {"map": {"columns": {"colour": "code"}}}, "map.columns.colour"),
            ("code,device\n", {"map": {"delimiter": "--"}}, "map.delimiter"),
            ("code,device\n", {"map": {"column": {}}}, "map"),
            ('code,lat,lon\na,"1,234","1,234"\n', {}, "map.decimal"),
        ],
    )
    async def test_file_that_cannot_be_used_is_told_why(
        self, api: ApiHouse, content: str, body: dict[str, Any], field: str
    ) -> None:
        await upload(api.admin, content)
        answer = await api.admin.post("/api/import/", json={"kind": "points", **body})
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, field), answer.text

    async def test_same_key_imports_once(self, acme: ApiHouse) -> None:
        await upload(acme.admin, POINTS)
        admin = acme.admin
        admin.headers["Idempotency-Key"] = "take-over-1"
        first, second = [await admin.post("/api/import/", json={"kind": "points"}) for _ in range(2)]
        assert first.json()["created"] == 2
        assert second.content == first.content


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
