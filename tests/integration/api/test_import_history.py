"""History over HTTP: run by ingest as a batch window, followed where the answer says."""

from integration.api.house import ApiHouse
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
