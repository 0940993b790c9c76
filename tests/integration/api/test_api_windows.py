"""Batch windows: upload, run, flush, in exactly the words that their users know."""

import asyncio
import csv
from collections.abc import AsyncIterator
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.common.domain.readings import Inlet
from caudal.gateway_api.adapters import window_files
from caudal.gateway_api.adapters.sql_ledger import SqlLedger
from caudal.gateway_api.entrypoints.app import Bounds
from integration.api.house import NOW, ApiHouse, furnished, reading

ROWS = b"ts,id,flow\n" + b"".join(b"2026-03-02T0%d:00:00Z,meter-1,%d\n" % (hour, hour) for hour in range(5))


async def upload(
    client: httpx.AsyncClient, content: bytes = ROWS, name: str = "window.csv", **kwargs: Any
) -> httpx.Response:
    """Hand a file in."""
    return await client.post("/api/upload_csv", files={"file": (name, content)}, **kwargs)


class TestUpload:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await upload(api.client)).status_code == 401
        assert (await upload(api.reader)).status_code == 403
        assert not (api.data_dir / "windows").exists()

    async def test_file_is_kept_as_it_came(self, api: ApiHouse) -> None:
        answer = await upload(api.operator)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        path = Path(said["path"])
        assert said == {"saved": True, "path": str(path)}
        assert path.read_bytes() == ROWS
        assert path.parent == api.data_dir / "windows"
        assert [entry for entry in path.parent.iterdir() if entry.name.startswith(".")] == []

    async def test_parquet_is_known_by_its_content(self, api: ApiHouse) -> None:
        sink = BytesIO()
        pq.write_table(pa.table({"ts": ["2026-03-02T00:00:00Z"], "id": ["meter-1"], "flow": [1.0]}), sink)
        await upload(api.operator, sink.getvalue(), "window.csv")
        await api.operator.post("/api/run_window")
        assert api.processor.commands[-1].params["format"] == "parquet"

    @pytest.mark.parametrize(
        "name",
        [
            "../../etc/passwd",
            "..\\..\\x.csv",
            "/etc/passwd",
            "..",
            ".",
            "",
            "a" * 300,
            "%2e%2e%2fx",
            "a\x00b.csv",
            "ñandú.csv",
        ],
    )
    async def test_name_never_leads_out_of_the_folder(self, api: ApiHouse, name: str) -> None:
        boundary = "xyz"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        answer = await api.operator.post(
            "/api/upload_csv",
            content=head.encode() + ROWS + f"\r\n--{boundary}--\r\n".encode(),
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        assert answer.status_code == 200, answer.text
        path = Path(answer.json()["path"])
        assert path.resolve().parent == (api.data_dir / "windows").resolve()
        assert path.read_bytes() == ROWS

    @pytest.mark.parametrize(
        ("content_type", "body", "status"),
        [
            ("text/csv", ROWS, 415),
            ("multipart/form-data", ROWS, 415),
            ("multipart/form-data; boundary=", ROWS, 415),
            ("multipart/form-data; boundary=x", b"", 422),
            ("multipart/form-data; boundary=x", b"nonsense", 422),
            ("multipart/form-data; boundary=x", b"--x--\r\n", 422),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--',
                422,
            ),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\na,b\n',
                422,
            ),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n\r\n--x--\r\n',
                422,
            ),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 70_000 + b"\r\n--x--\r\n",
                422,
            ),
        ],
    )
    async def test_body_without_a_file_is_refused(
        self, api: ApiHouse, content_type: str, body: bytes, status: int
    ) -> None:
        answer = await api.operator.post("/api/upload_csv", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == status, answer.text
        folder = api.data_dir / "windows"
        assert not folder.exists() or list(folder.iterdir()) == []

    async def test_two_files_at_once_are_refused_rather_than_one_be_lost(self, api: ApiHouse) -> None:
        files = [("file", ("a.csv", b"ts,id,q\n")), ("file", ("b.csv", b"ts,id,q\n" * 100_000))]
        answer = await api.operator.post("/api/upload_csv", files=files)
        assert answer.json()["error"]["fields"] == [
            {"field": "file", "reason": "is not the only one: send one at a time"}
        ]
        assert list((api.data_dir / "windows").iterdir()) == []

    @pytest.mark.parametrize("content", [b"", b"\x00\x01\x02binary", b"PK\x03\x04\x00"])
    async def test_what_is_no_table_is_refused_and_leaves_nothing(self, api: ApiHouse, content: bytes) -> None:
        answer = await upload(api.operator, content)
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"][0]["field"] == "file"
        assert list((api.data_dir / "windows").iterdir()) == []

    async def test_too_large_a_file_is_refused_and_leaves_nothing(self, sqlite_url: str, tmp_path: Path) -> None:
        async with furnished(sqlite_url, tmp_path, Bounds(upload_bytes=100_000)) as api:
            assert (await upload(api.operator, b"a,b\n" + b"1,2\n" * 100_000)).status_code == 413

            async def endless() -> AsyncIterator[bytes]:
                yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
                for _ in range(1000):
                    yield b"1,2\n" * 10_000

            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = await api.operator.post("/api/upload_csv", content=endless(), headers=headers)
            assert answer.status_code == 413
            assert [*(tmp_path / "windows").iterdir()] == []

    async def test_upload_that_breaks_off_leaves_nothing(self, api: ApiHouse) -> None:
        head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nts,id\n'
        coming: list[dict[str, Any]] = [
            {"type": "http.request", "body": head, "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return coming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        headers.append((b"authorization", api.operator.headers["authorization"].encode()))
        scope = {"type": "http", "method": "POST", "path": "/api/upload_csv", "headers": headers, "query_string": b""}
        await api.app(scope, receive, send)
        assert sent[0]["status"] == 400
        assert list((api.data_dir / "windows").iterdir()) == []

    async def test_full_disk_is_told(self, sqlite_url: str, tmp_path: Path) -> None:
        async with furnished(sqlite_url, tmp_path, min_free_bytes=2**60) as api:
            answer = await upload(api.operator)
            assert (answer.status_code, answer.json()["error"]["code"]) == (507, "out_of_space")
            assert [*(tmp_path / "windows").iterdir()] == []


class TestRun:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post("/api/run_window")).status_code == 401
        assert (await api.reader.post("/api/run_window")).status_code == 403

    async def test_last_upload_is_run(self, api: ApiHouse) -> None:
        await upload(api.operator, name="first.csv")
        path = (await upload(api.operator, name="second.csv")).json()["path"]
        await upload(api.admin, name="third.csv")
        api.processor.answer = {"rows": 5, "rejected": 0, "path": "elsewhere"}
        answer = await api.operator.post("/api/run_window")
        assert answer.status_code == 200, answer.text
        loader_response = {"rows": 5, "path": path}
        assert answer.json() == {"triggered": True, "status_code": 200, "loader_response": loader_response}
        (command,) = api.processor.commands
        assert answer.headers["Location"] == f"/api/windows/{command.id}"
        assert command.action == "run"
        assert command.params == {"path": Path(path).name, "format": "csv", "options": {}}
        assert api.bus.published[-1].topic == f"window/{command.id}/command"
        shown = await api.operator.get(f"/api/windows/{command.id}")
        assert (shown.status_code, shown.json()["state"]) == (200, "done")

    async def test_rejected_rows_are_told(self, api: ApiHouse) -> None:
        path = (await upload(api.operator)).json()["path"]
        api.processor.answer = {"rows": 4, "rejected": 1, "rejects_path": "r.csv"}
        said = (await api.operator.post("/api/run_window")).json()["loader_response"]
        (command,) = api.processor.commands
        assert said == {"rows": 4, "rejected": 1, "rejects_path": "r.csv", "path": path, "id": command.id}

    async def test_file_is_chosen_by_the_path_that_was_answered(self, api: ApiHouse) -> None:
        path = (await upload(api.operator)).json()["path"]
        for chosen in (path, Path(path).name):
            body = {"path": chosen, "options": {"delimiter": ";", "columns": {"Caudal": "flow"}}}
            assert (await api.operator.post("/api/run_window", json=body)).status_code == 200
        assert api.processor.commands[-1].params["options"] == {"delimiter": ";", "columns": {"Caudal": "flow"}}

    async def test_slow_loader_is_answered_for(self, api: ApiHouse) -> None:
        path = (await upload(api.operator)).json()["path"]
        api.processor.answer = None
        answer = await api.operator.post("/api/run_window")
        assert (answer.status_code, answer.json()["status_code"]) == (202, 202)
        assert answer.json()["loader_response"]["path"] == path
        window = answer.json()["loader_response"]["id"]
        assert (await api.operator.get(f"/api/windows/{window}")).status_code == 202

    async def test_refusal_of_the_loader_names_the_field(self, api: ApiHouse) -> None:
        await upload(api.operator)
        api.processor.ok = False
        api.processor.answer = {"rows": 0, "error": "is not one character", "field": "options.delimiter"}
        answer = await api.operator.post("/api/run_window", json={"options": {"delimiter": "abc"}})
        assert answer.status_code == 422
        assert answer.json()["error"]["fields"] == [{"field": "options.delimiter", "reason": "is not one character"}]

    async def test_nothing_uploaded_is_not_found(self, api: ApiHouse) -> None:
        assert (await api.operator.post("/api/run_window")).status_code == 404

    @pytest.mark.parametrize(
        "path", ["../../etc/passwd", "/etc/passwd", "a\x00b", ".", "", "nowhere.csv", "../windows-2/x.csv", "link.csv"]
    )
    async def test_path_never_leads_out_of_the_folder(self, api: ApiHouse, path: str) -> None:
        await upload(api.operator)
        neighbour = api.data_dir / "windows-2"
        neighbour.mkdir()
        (neighbour / "x.csv").write_bytes(ROWS)
        (api.data_dir / "windows" / "link.csv").symlink_to(neighbour / "x.csv")
        answer = await api.operator.post("/api/run_window", json={"path": path})
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"] == "path"
        assert not api.processor.commands

    async def test_windows_are_not_shown_to_readers(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/windows/x")).status_code == 401
        assert (await api.reader.get("/api/windows/x")).status_code == 403
        assert (await api.operator.get("/api/windows/x")).status_code == 404


class TestForgetting:
    async def forget(self, api: ApiHouse) -> set[str]:
        """What is left in the folder once uploads of more than a week are forgotten."""
        await api.house.shelf.expire(api.clock.now(), timedelta(days=7))
        return {path.name for path in (api.data_dir / "windows").iterdir()}

    async def test_upload_goes_a_week_after_it_came_with_all_that_lies_beside_it(self, api: ApiHouse) -> None:
        path = Path((await upload(api.operator)).json()["path"])
        path.with_name(f"{path.name}.rejects.csv").touch()
        path.with_name(f".{path.name}").touch()
        path.with_name("by-hand.csv").touch()
        path.with_name("99999999T999999-01234567-x.csv").touch()
        kept = {"processed_window.csv", "by-hand.csv", "99999999T999999-01234567-x.csv"}
        await api.operator.get("/flush")
        api.clock.advance(days=6, hours=23)
        assert await self.forget(api) > kept
        api.clock.advance(hours=2)
        assert await self.forget(api) == kept
        assert (await api.operator.post("/api/run_window")).status_code == 404
        assert (await api.operator.post("/api/run_window", json={"path": str(path)})).status_code == 422

    async def test_upload_stays_while_its_window_is_to_be_run_and_a_week_after(self, api: ApiHouse) -> None:
        path = Path((await upload(api.operator, name="x.rejects.csv")).json()["path"])
        path.with_name(f"{path.name}.rejects.csv").touch()
        both = {path.name, f"{path.name}.rejects.csv"}
        api.processor.answer = None
        run = await api.operator.post("/api/run_window")
        assert run.status_code == 202
        api.clock.advance(days=20)
        assert await self.forget(api) == both
        ended = api.clock.now()
        await api.house.commands.finished(run.headers["Location"].rpartition("/")[2], True, {}, ended)
        api.clock.advance(days=6)
        assert await self.forget(api) == both
        assert (await api.operator.post("/api/run_window")).status_code == 202
        api.clock.advance(days=6)
        assert await self.forget(api) == both

    async def test_upload_goes_a_week_after_its_window_ended(self, api: ApiHouse) -> None:
        await upload(api.operator)
        api.processor.answer = {"rows": 5}
        api.clock.advance(days=5)
        assert (await api.operator.post("/api/run_window")).status_code == 200
        api.clock.advance(days=8)
        assert await self.forget(api) == set()
        assert await api.rows("select id from gateway_uploads") == []


class TestFlush:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/flush")).status_code == 401
        assert (await api.reader.get("/flush")).status_code == 403

    async def test_processed_value_is_written_where_a_point_claims_the_unit(self, api: ApiHouse) -> None:
        await api.add_point()
        hours = [NOW - timedelta(hours=hour) for hour in (2, 1)]
        await api.keep(
            *(reading(at, total=total, flow=0.5) for at, total in zip(hours, (100, 101), strict=True)),
            inlet=Inlet.WINDOW,
            window="w1",
        )
        await api.keep(reading(hours[0], **{"odd": -3}), device="stranger", inlet=Inlet.WINDOW, window="w1")
        answer = await api.operator.get("/flush")
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["rows"] == 3
        path = Path(said["path"])
        assert path.name == "processed_window.csv"
        rows = list(csv.reader(StringIO(path.read_text())))
        assert rows == [
            ["ts", "id", "__src_format", "flow", "odd", "total"],
            ["2026-03-02T08:00:00Z", "meter-1", "csv", "0.5", "", "1"],
            ["2026-03-02T08:00:00Z", "stranger", "csv", "", "-3", ""],
            ["2026-03-02T09:00:00Z", "meter-1", "csv", "0.5", "", "1.01"],
        ]
        assert (await api.client.get("/metrics")).json()["last_flush_rows"] == 3

    async def test_latest_version_of_a_row_is_kept(self, api: ApiHouse) -> None:
        for version in (1, 2):
            received = timedelta(minutes=version)
            await api.keep(reading(NOW, received=received, x=version), inlet=Inlet.WINDOW, window=f"w{version}")
        said = (await api.operator.get("/flush")).json()
        assert said["rows"] == 1
        assert Path(said["path"]).read_text().splitlines()[1].endswith(",2")

    async def test_cells_that_a_spreadsheet_would_run_are_escaped(self, api: ApiHouse) -> None:
        await api.keep(reading(NOW, **{"-x": -1}), device="-unit", inlet=Inlet.WINDOW, window="w1")
        said = (await api.operator.get("/flush")).json()
        rows = list(csv.reader(StringIO(Path(said["path"]).read_text())))
        assert rows[0][3] == "'-x"
        assert rows[1][1:] == ["'-unit", "csv", "-1"]

    async def test_nothing_to_flush_is_an_empty_table(self, api: ApiHouse) -> None:
        said = (await api.operator.get("/flush")).json()
        assert said["rows"] == 0
        assert Path(said["path"]).read_text() == "ts,id,__src_format\n"

    async def test_file_stays_as_it_was_when_writing_fails(
        self, api: ApiHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = Path((await api.operator.get("/flush")).json()["path"])
        await api.keep(reading(NOW, x=1), inlet=Inlet.WINDOW, window="w1")

        def full(_file: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(window_files, "_to_disk", full)
        assert (await api.operator.get("/flush")).status_code == 507
        assert path.read_text() == "ts,id,__src_format\n"
        assert [entry.name for entry in path.parent.iterdir()] == ["processed_window.csv"]

    async def test_rows_of_a_window_that_was_just_run_are_waited_for(
        self, api: ApiHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = asyncio.Event()
        count = api.house.door.telemetry.ledger.window_reading_count

        async def counting(_ledger: SqlLedger, window: str) -> int:
            found = await count(window)
            asked.set()
            return found

        monkeypatch.setattr(SqlLedger, "window_reading_count", counting)
        await upload(api.operator)
        api.processor.answer = {"rows": 1}
        window = (await api.operator.post("/api/run_window")).headers["Location"].rpartition("/")[2]
        flushing = asyncio.create_task(api.operator.get("/flush"))
        await asked.wait()
        await api.keep(reading(NOW, x=1), inlet=Inlet.WINDOW, window=window)
        assert (await flushing).json()["rows"] == 1
