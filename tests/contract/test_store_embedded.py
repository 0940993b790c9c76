"""The embedded store keeps the laws of telemetry stores, over several processes too."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from caudal.common.adapters import embedded_store
from caudal.common.adapters.embedded_store import EmbeddedStore
from caudal.common.adapters.store import open_store
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.ports import TelemetryStore
from caudal.common.settings import StoreSettings
from caudal.common.testing.store_rows import BASE, RETENTION, MovableClock, all_rows, flows, row
from caudal.common.testing.store_suite import StoreSuite


class TestEmbeddedStore(StoreSuite):
    @pytest.fixture
    async def store(self, clock: MovableClock, tmp_path: Path) -> AsyncIterator[TelemetryStore]:
        store = EmbeddedStore(tmp_path / "telemetry.db", RETENTION, clock)
        yield store
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's file will be."""
    return tmp_path / "deep" / "below" / "telemetry.db"


def settings(path: Path) -> StoreSettings:
    """Of an embedded store."""
    return StoreSettings(store="embedded", store_path=path)


WRITER = """
import asyncio, itertools, pathlib, sys
from datetime import UTC, datetime, timedelta
from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.embedded_store import EmbeddedStore
from caudal.common.ports import SeriesRow

async def main(path, base):
    store = EmbeddedStore(pathlib.Path(path), timedelta(days=90), SystemClock())
    for n in itertools.count():
        at = datetime.fromisoformat(base) + timedelta(seconds=n)
        await store.write([SeriesRow("well-1", at, {"flow": float(n), "total": float(n)}, "twin")])
        print(n, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_killed_writer_said_is_written_is_there_and_others_read_meanwhile(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path), BASE.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(20)][-1]
        async with open_store(settings(path)) as reader:
            seen = len(await flows(reader, "flow", "total"))
            assert seen > said
            said = [int(writer.stdout.readline()) for _ in range(50)][-1]
            assert len(await flows(reader, "flow", "total")) > said
            writer.kill()
            said = [said, *map(int, writer.stdout.read().split())][-1]
    async with open_store(settings(path)) as store:
        found = await all_rows(store)
        assert len(found) in (said + 1, said + 2), "the last one may have been written before it could say so"
        assert all(row.fields == {"flow": float(n), "total": float(n)} for n, row in enumerate(found))
        await store.write([row(-1, flow=5.0)])
        assert len(await all_rows(store)) == len(found) + 1


OPENER = """
import asyncio, pathlib, sys
from caudal.common.adapters.store import open_store
from caudal.common.settings import StoreSettings

async def main(path):
    async with open_store(StoreSettings(store="embedded", store_path=pathlib.Path(path))) as store:
        print([row async for row in store.rows("well-1")])

asyncio.run(main(sys.argv[1]))
"""


def test_processes_that_start_together_all_open_it(path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", OPENER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(6)
    ]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert said == [b"[]\n"] * 6


async def test_one_process_may_drop_while_another_writes(path: Path) -> None:
    async with open_store(settings(path)) as writer, open_store(settings(path)) as other:
        await writer.write([row(0, flow=1.0)])
        await other.drop()
        await writer.write([row(1, flow=2.0)])
        assert await all_rows(other) == [row(1, flow=2.0)]


async def test_a_file_that_another_process_holds_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_store, "BUSY_TIMEOUT_S", 0.1)
    async with open_store(settings(path)) as store:
        await store.write([row(0, flow=1.0)])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(Transient, match="locked"):
            await store.write([row(1, flow=2.0), row(1, total=2.0)])
        assert len(await all_rows(store)) == 1
        other.execute("rollback")
        other.close()
        await store.write([row(1, flow=2.0), row(1, total=2.0)])
        assert await all_rows(store) == [row(0, flow=1.0), row(1, flow=2.0, total=2.0)]


async def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is somebody's diary\n" * 100)
    with pytest.raises(Permanent, match="not a database"):
        async with open_store(settings(path)):
            pass
    assert path.read_bytes().startswith(b"this is somebody's diary")


async def test_a_path_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with open_store(settings(tmp_path / "file" / "telemetry.db")) as store:
        for question in (store.ping(), store.write([row(0, flow=1.0)]), flows(store)):
            with pytest.raises(Transient, match="file"):
                await question
