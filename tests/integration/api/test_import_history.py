"""History over HTTP: run by ingest as a batch window, followed where the answer says."""

from pathlib import Path

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import Progress, Result
from caudal.common.ports import Delivery
from integration.api.house import NOW, ApiHouse
from integration.api.importing import client_admin, upload


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
            "id_kind": "point",
            "columns": {"q": "flow"},
            "time_zone": "America/Santiago",
        }

    async def test_what_windows_do_not_know_is_refused(self, api: ApiHouse) -> None:
        await upload(api.admin, "ts,id,flow\n")
        body = {"kind": "history", "map": {"values": {"flow": {"x": 1}}}}
        answer = await api.admin.post("/api/import/", json=body)
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, "map.values")

    async def test_dry_run_is_ordered_as_one_and_told_whole(self, api: ApiHouse) -> None:
        api.processor.answer = {"rows": 1, "rejected": 0, "dry_run": True, "unknown": [], "unconfigured": ["w/ph"]}
        path = await upload(api.admin, "ts,id,flow\n2026-03-02T00:00:00Z,m-1,1\n")
        answer = await api.admin.post("/api/import/", json={"kind": "history"}, params={"dry_run": True})
        assert answer.status_code == 200, answer.text
        said = answer.json()["loader_response"]
        assert (said["rows"], said["unconfigured"], said["path"]) == (1, ["w/ph"], path)
        assert api.processor.commands[-1].action == "dry_run"
        # A dry run sends no rows for a flush to wait for.
        assert await api.house.orders.commands.latest_run() is None

    async def test_json_is_ordered_as_json(self, api: ApiHouse) -> None:
        api.processor.answer = {"rows": 1}
        await upload(api.admin, '[{"ts": "2026-03-02T00:00:00Z", "device": "m-1", "flow": 1}]')
        assert (await api.admin.post("/api/import/", json={"kind": "history"})).status_code == 200
        assert api.processor.commands[-1].params["format"] == "json"

    async def test_what_takes_long_is_followed_to_its_report(self, api: ApiHouse) -> None:
        api.processor.answer = None
        await upload(api.admin, "ts,id,flow\n2026-03-02T00:00:00Z,m-1,1\n")
        begun = await api.admin.post("/api/import/", json={"kind": "history"})
        assert begun.status_code == 202
        order = begun.headers["location"].rpartition("/")[2]
        far = Progress(id=order, done=20, total=100, unit="bytes", timestamp=NOW)
        await api.bus.deliver(Delivery(f"window/{order}/progress", encode(far)))
        under_way = await api.admin.get(begun.headers["location"])
        assert (under_way.status_code, under_way.json()["detail"]) == (202, {"done": 20, "total": 100, "unit": "bytes"})
        result = Result(id=order, ok=True, detail={"rows": 3, "rejected": 1, "rejects_path": "x"}, timestamp=NOW)
        await api.bus.deliver(Delivery(f"window/{order}/result", encode(result)))
        await api.bus.deliver(Delivery(f"window/{order}/progress", encode(far)))
        done = await api.admin.get(begun.headers["location"])
        assert (done.status_code, done.json()["state"], done.json()["detail"]["rows"]) == (200, "done", 3)
        assert (await api.reader.get(begun.headers["location"])).status_code == 403

    async def test_rejected_rows_are_fetched_by_who_imported_them(self, acme: ApiHouse) -> None:
        mine, acme.processor.answer = await client_admin(acme), {"rows": 0, "rejected": 1, "rejects_path": "there"}
        path = await upload(mine, "ts,id,flow\nnever,m-1,1\n")
        done = await mine.post("/api/import/", json={"kind": "history"})
        where = f"{done.headers['location']}/rejected"
        assert (await mine.get(where)).status_code == 404
        Path(f"{path}.rejects.csv").write_text("row,field,value,reason,content\n2,ts,never,is no time,{}\n")
        told = await mine.get(where)
        assert (told.status_code, told.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        assert told.text.splitlines()[1] == "2,ts,never,is no time,{}"
        assert (await (await client_admin(acme, "other")).get(where)).status_code == 404
        assert (await acme.client.get(where)).status_code == 401


class TestOfAClient:
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
