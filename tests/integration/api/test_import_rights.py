"""Who may import what, and whose files and points they can touch."""

from pathlib import Path

from integration.api.house import ApiHouse
from integration.api.importing import POINTS, client_admin, counts, imported, refusals, upload


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
