"""Files, multipart bodies, tables on the wire, settings: what needs no database."""

import asyncio
import csv
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.bus.messages import Result
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Outgoing, Sample
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.gateway_api.adapters.disk_space import DiskSpace
from caudal.gateway_api.adapters.window_files import WindowFolder
from caudal.gateway_api.domain.errors import UnsupportedMedia
from caudal.gateway_api.domain.permissions import Caller, Scope
from caudal.gateway_api.domain.telemetry import CommandState, OrderedCommand
from caudal.gateway_api.entrypoints.finding import EitherSlash
from caudal.gateway_api.entrypoints.multipart import FilePart
from caudal.gateway_api.entrypoints.parquet_series import as_parquet
from caudal.gateway_api.entrypoints.representations import as_csv
from caudal.gateway_api.handlers.orders import OrderDesk, new_order, send, take_answer
from caudal.gateway_api.handlers.outbox import OutboxRelay
from caudal.gateway_api.settings import GatewaySettings

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


class TestMultipart:
    @staticmethod
    def request(body: bytes, size: int, content_type: str = "multipart/form-data; boundary=edge") -> Request:
        """A request whose body comes in pieces of `size`."""
        pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]

        async def receive() -> dict[str, object]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        headers = [(b"content-type", content_type.encode())]
        return Request({"type": "http", "method": "POST", "headers": headers}, receive)

    @given(content=st.binary(max_size=300), size=st.integers(1, 400), name=st.sampled_from(["a.csv", "ñ", "a b"]))
    def test_file_comes_out_as_it_went_in_however_it_is_cut(self, content: bytes, size: int, name: str) -> None:
        body = (
            b'--edge\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
            + f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
            + b"Content-Type: text/csv\r\n\r\n"
            + content
            + b'\r\n--edge\r\nContent-Disposition: form-data; name="more"; filename=""\r\n\r\nother\r\n--edge--\r\n'
        )

        async def read() -> tuple[str, bytes]:
            part = await FilePart(self.request(body, size)).opened()
            return part.name, b"".join([chunk async for chunk in part.chunks()])

        if b"\r\n--edge" not in b"\r\n" + content + b"\r":
            assert asyncio.run(read()) == (name, content)

    async def test_headers_without_end_are_bounded(self) -> None:
        body = b"--edge\r\nX-Long: " + b"x" * 200_000
        with pytest.raises(InvalidInput):
            await FilePart(self.request(body, 1000)).opened()

    @pytest.mark.parametrize("kind", ["", "text/csv", "multipart/form-data", "multipart/mixed; boundary=edge"])
    def test_any_other_body_is_refused(self, kind: str) -> None:
        with pytest.raises(UnsupportedMedia):
            FilePart(self.request(b"", 1, kind))


class TestWindowFolder:
    async def test_two_uploads_of_one_name_are_two_files(self, tmp_path: Path) -> None:
        folder = WindowFolder(tmp_path, DiskSpace(tmp_path, 0))
        first = await folder.save("a.csv", stream(b"ts", b",id\n"), NOW)
        second = await folder.save("a.csv", stream(b"ts"), NOW)
        assert first.path != second.path
        assert first.path.read_bytes() == b"ts,id\n"
        assert (second.format, second.size, second.digest) == ("csv", 2, hashlib.sha256(b"ts").digest())

    async def test_upload_that_breaks_off_leaves_nothing(self, tmp_path: Path) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"ts,id\n" * 300_000
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await WindowFolder(tmp_path, DiskSpace(tmp_path, 0)).save("a.csv", broken(), NOW)
        assert list(tmp_path.iterdir()) == []

    async def test_processed_window_is_all_or_nothing(self, tmp_path: Path) -> None:
        folder = WindowFolder(tmp_path, DiskSpace(tmp_path, 0))

        async def rows(*lines: Sequence[str]) -> AsyncIterator[Sequence[Sequence[str]]]:
            yield lines

        async def broken() -> AsyncIterator[Sequence[Sequence[str]]]:
            yield [["lost"]]
            raise ConnectionError

        path = await folder.write_processed(["ts", "a,b"], rows(["1", 'x"y']))
        with pytest.raises(ConnectionError):
            await folder.write_processed(["ts"], broken())
        assert list(csv.reader(StringIO(path.read_text()))) == [["ts", "a,b"], ["1", 'x"y']]
        assert [entry.name for entry in tmp_path.iterdir()] == ["processed_window.csv"]


class TestRepresentations:
    SAMPLES = tuple(
        Sample(NOW + n * timedelta(seconds=1), {"a": n / 7, "b": None if n % 2 else -float(n)}) for n in range(2500)
    )

    async def pages(self) -> AsyncIterator[list[Sample]]:
        for start in range(0, 2500, 1000):
            yield list(self.SAMPLES[start : start + 1000])

    async def test_csv_and_parquet_say_the_same(self) -> None:
        text = b"".join([chunk async for chunk in as_csv(["a", "b"], self.pages())]).decode()
        rows = list(csv.DictReader(StringIO(text)))
        chunks = [chunk async for chunk in as_parquet(["a", "b"], self.pages())]
        table = pq.read_table(BytesIO(b"".join(chunks))).to_pylist()
        assert len(chunks) == 4
        assert len(rows) == len(table) == 2500
        for row, line, sample in zip(rows, table, self.SAMPLES, strict=True):
            assert datetime.fromisoformat(row["at"]) == line["at"] == sample.at
            assert float(row["a"]) == line["a"] == sample.values["a"]
            assert (float(row["b"]) if row["b"] else None) == line["b"] == sample.values["b"]


class TestOutboxRelay:
    class Outbox:
        """Two messages, and a count of how often they were told."""

        def __init__(self) -> None:
            self.waiting = {1: Outgoing("a", b"1"), 2: Outgoing("b", b"2")}

        async def pending(self, limit: int) -> list[tuple[int, Outgoing]]:
            return sorted(self.waiting.items())[:limit]

        async def published(self, numbers: Sequence[int]) -> None:
            for number in numbers:
                self.waiting.pop(number, None)

    async def test_each_is_told_once_in_order_however_many_ask(self) -> None:
        bus, outbox = MemoryBus(), self.Outbox()
        relay = OutboxRelay(outbox, bus)
        await asyncio.gather(*(relay.deliver_soon() for _ in range(5)))
        assert [message.topic for message in bus.published] == ["a", "b"]

    async def test_what_cannot_be_told_stays_and_is_asked_for(self) -> None:
        bus, outbox = MemoryBus(), self.Outbox()
        bus.away = True
        relay = OutboxRelay(outbox, bus)
        await relay.deliver_soon()
        await relay.wanted(at_most_s=60)
        assert len(outbox.waiting) == 2
        bus.away = False
        assert await relay.deliver() == 2


class TestOrders:
    class Commands:
        """Orders in a dictionary."""

        def __init__(self) -> None:
            self.kept: dict[str, OrderedCommand] = {}

        async def sent(self, command: OrderedCommand) -> None:
            self.kept[command.id] = command

        async def finished(
            self, command: str, ok: bool, detail: Mapping[str, Any], at: datetime
        ) -> OrderedCommand | None:
            state = CommandState.DONE if ok else CommandState.FAILED
            self.kept[command] = replace(self.kept[command], state=state, detail=dict(detail), finished_at=at)
            return self.kept[command]

        async def one(self, command: str, scope: Scope) -> OrderedCommand | None:
            return self.kept.get(command)

        async def latest_run(self) -> OrderedCommand | None:
            return None

    async def test_answer_wakes_who_waits_for_it_at_once(self) -> None:
        bus = MemoryBus()
        desk = OrderDesk(self.Commands(), bus, FakeClock())
        caller = Caller(user="u", email="u@caudal.test", role="operator")
        order = new_order(desk, caller, "process", "meter-1")
        async with asyncio.timeout(30):
            waiting = asyncio.create_task(send(desk, order, "telemetry/meter-1/command", {}, wait_s=3600))
            while not bus.published:
                await asyncio.sleep(0)
            await take_answer(desk, Result(id=order.id, ok=True, detail={"readings": 1}, timestamp=NOW))
            done = await waiting
        assert (done.state, done.detail) == (CommandState.DONE, {"readings": 1})
        assert not desk.waiting


class TestEitherSlash:
    @pytest.mark.parametrize(
        ("asked", "served"),
        [
            ("/api/points", "/api/points/"),
            ("/api/points/", "/api/points/"),
            ("/api/points/a/", "/api/points/a"),
            ("/api/points/a.b", "/api/points/a.b"),
            ("/api/points/a/b/", "/api/points/a/b/"),
            ("/flush/", "/flush"),
            ("/flush//", "/flush//"),
            ("/other", "/other"),
            ("/", "/"),
        ],
    )
    async def test_path_is_served_as_it_is_documented(self, asked: str, served: str) -> None:
        seen: list[str] = []

        async def app(scope: dict[str, str], _receive: object, _send: object) -> None:
            seen.append(scope["path"])

        middleware = EitherSlash(app, ["/api/points/", "/api/points/{code}", "/flush"])  # type: ignore[arg-type]
        await middleware({"type": "http", "path": asked}, None, None)  # type: ignore[arg-type]
        assert seen == [served]


class TestSettings:
    def test_lists_are_written_with_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAUDAL_CORS_ORIGINS", "https://a.example, https://b.example,")
        monkeypatch.setenv("CAUDAL_TRUSTED_PROXIES", "")
        settings = GatewaySettings()
        assert settings.cors_origins == ("https://a.example", "https://b.example")
        assert settings.trusted_proxies == ()
