"""Batch windows on a real broker: files of all makes, ordered over the bus or loaded by hand."""

import asyncio
import csv
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from buses import until
from caudal.common.bus.codec import encode
from caudal.common.bus.messages import Command
from caudal.common.domain.readings import Inlet
from ears import Ears
from figures import tell
from servers.service import Service

TS = "2026-03-02T10:00:00Z"
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


MEASURED = """
import atexit, re, runpy, sys
atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr))
runpy.run_module("caudal.ingest", run_name="__main__")
"""
"""The same command, which says at the end how much memory it held at most, in kB."""


async def load(
    ingest: Service, *arguments: str | Path, program: str | None = None, **environment: str
) -> tuple[int, Any, str]:
    """`python -m caudal.ingest load … --json`: exit code, what it printed, what it complained about."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, *(("-c", program) if program else ("-m", "caudal.ingest")),
        "load", *map(str, arguments), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **ingest.settings, **environment},
    )  # fmt: skip
    async with asyncio.timeout(100):
        out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, json.loads(out) if out.strip() else None, err.decode()


def rejects_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(f"{path}.rejects.csv").read_text(encoding="utf-8").splitlines()))


async def test_csv_from_a_spanish_office(ingest: Service, ears: Ears, tmp_path: Path) -> None:
    rows = [
        "31/03/2026 07:00;12,5;1.234,5;marea baja, señal débil",
        "31/03/2026 08:00;13;;ok",
        "mañana;1;1;",
        "04/04/2026 23:30;1;1;",
    ]
    path = tmp_path / "oficina.csv"
    path.write_bytes(("Fecha y hora;Caudal [l/s];Volumen (m³);Observación\r\n" + "\r\n".join(rows)).encode("latin-1"))
    code, report, error = await load(ingest, path, "--point", "P-1", "--thousands", ".")
    assert (code, error) == (0, "")
    assert (report["rows"], report["rejected"], report["columns"]["Observación"]) == (
        2,
        2,
        "ignored, mostly no numbers",
    )
    await until(lambda: len(ears.readings("D-claimed")) >= 2)
    first, second = ears.readings("D-claimed")[-2:]
    assert (first.measured_at, first.values) == (
        datetime(2026, 3, 31, 10, tzinfo=UTC),
        {"caudal": 12.5, "volumen": 1234.5},
    )
    assert second.values == {"caudal": 13}
    bundle = ears.bundles()[-1]
    assert (bundle.inlet, bundle.source_format) == (Inlet.WINDOW, "csv")
    assert json.loads(first.payload)["__src_format"] == "csv"
    reasons = [(reject["row"], reject["field"]) for reject in rejects_of(path)]
    assert reasons == [("4", "Fecha y hora"), ("5", "Fecha y hora")]
    assert "exists twice" in rejects_of(path)[1]["reason"]


async def test_same_file_again_says_the_same(ingest: Service, ears: Ears, tmp_path: Path) -> None:
    path = tmp_path / "again.csv"
    path.write_text("\ufeffts;id;flow\n" + "".join(f"2026-03-02T10:{n:02}:00Z;D-again;{n},5\n" for n in range(60)))
    for run in (1, 2):
        code, report, _ = await load(ingest, path)
        assert (code, report["rows"]) == (0, 60)
        await until(lambda run=run: len(ears.readings("D-again")) >= 60 * run)  # type: ignore[misc]
    readings = [(reading.measured_at, reading.values) for reading in ears.readings("D-again")]
    assert readings[:60] == readings[60:]
    assert len({bundle.window for bundle in ears.bundles()}) == 1


async def test_parquet_of_many_types(ingest: Service, ears: Ears, tmp_path: Path) -> None:
    times = [AT, AT + timedelta(hours=1), None, AT + timedelta(hours=2)]
    table = pa.table(
        {
            "ts": pa.array(times, pa.timestamp("ns", "America/Santiago")),
            "id": pa.array(["D-parquet"] * 4).dictionary_encode(),
            "total": pa.array([184230, 184231, 1, 184232], pa.int64()),
            "flow": pa.array([12.5, float("nan"), 1, None]),
            "price": pa.array([Decimal("1.25")] * 4),
            "open": pa.array([True, False, True, None]),
            "tags": pa.array([["a"], [], None, ["b"]]),
            "note": pa.array(["a", "b", "c", "x" * 40_000]),
        }
    )
    path = tmp_path / "many.parquet"
    pq.write_table(table, path)
    code, report, error = await load(ingest, path)
    assert (code, report["rows"], report["rejected"], error) == (0, 2, 2, "")
    await until(lambda: len(ears.readings("D-parquet")) >= 2)
    first, second = ears.readings("D-parquet")
    assert (first.measured_at, first.values) == (AT, {"total": 184230, "flow": 12.5, "price": 1.25})
    assert second.values == {"total": 184231, "price": 1.25}
    assert ears.bundles()[-1].source_format == "parquet"
    assert [(reject["row"], reject["field"]) for reject in rejects_of(path)] == [("3", "ts"), ("4", "row")]
    assert any("tags" in note for note in report["notes"])


async def test_parquet_bomb_fails_cleanly(ingest: Service, tmp_path: Path) -> None:
    """20 GB in a small file: one constant column, a thousand row groups."""
    path = tmp_path / "bomb.parquet"
    chunk = pa.table({"ts": pa.array([1772445600] * 2_500_000), "id": pa.array([1] * 2_500_000)})
    with pq.ParquetWriter(path, chunk.schema, compression="zstd") as writer:
        for _ in range(60):
            writer.write_table(chunk, row_group_size=2_500_000)
    assert path.stat().st_size < 2_000_000
    code, report, _ = await load(ingest, path)
    assert code == 2
    assert report["error"]["field"] == "file"
    assert "more than" in report["error"]["reason"]


async def test_parquet_that_needs_more_memory_than_allowed_fails_cleanly(ingest: Service, tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    cells = pa.array(["x" * 8_000_000] * 20)
    pq.write_table(
        pa.table({"ts": pa.array([TS] * 20), "id": pa.array(["a"] * 20), "blob": cells}), path, compression="zstd"
    )
    assert path.stat().st_size < 2_000_000
    code, report, _ = await load(ingest, path, CAUDAL_WINDOW_MEMORY_MB="64")
    assert code == 2
    assert report["error"]["field"] == "file"
    assert "64 MB" in report["error"]["reason"] or "ended" in report["error"]["reason"]


async def test_parquet_that_was_cut_off_is_named(ingest: Service, tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"ts": [TS] * 1000, "id": ["a"] * 1000, "n": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    code, report, _ = await load(ingest, path)
    assert (code, report["error"]["field"]) == (2, "file")


async def test_dry_run_needs_no_broker_and_sends_nothing(ingest: Service, tmp_path: Path) -> None:
    path = tmp_path / "dry.csv"
    path.write_text(f"Time,Water flow [l/s]\n{TS},100.59\nsoon,1\n")
    code, report, _ = await load(ingest, path, "--device", "D-dry", "--dry-run", CAUDAL_MQTT_PORT="1")
    assert (code, report["rows"], report["rejected"], report["dry_run"]) == (0, 1, 1, True)
    assert report["first_rows"][0]["values"] == {"water_flow": 100.59}
    assert not Path(f"{path}.rejects.csv").exists()


async def test_mistakes_are_answered_with_the_option_and_an_exit_code(ingest: Service, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"when,flow\n{TS},1\n")
    wrong: list[tuple[tuple[str, ...], dict[str, str], int, str]] = [
        (("--device", "D"), {}, 2, "time_column"),
        (("--point", "P-404", "--time-column", "when"), {}, 2, "point"),
        (("--device", "D", "--time-column", "when"), {"CAUDAL_MQTT_PORT": "1"}, 1, ""),
    ]
    for arguments, environment, expected, field in wrong:
        code, report, _ = await load(ingest, path, *arguments, **environment)
        assert (code, report["error"]["field"]) == (expected, field), arguments
    code, report, _ = await load(ingest, tmp_path / "none.csv")
    assert (code, report["error"]["field"]) == (2, "path")


async def test_memory_does_not_grow_with_the_file(ingest: Service, tmp_path: Path) -> None:
    peaks = []
    for rows in (5_000, 60_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("ts,id,flow,level\n")
            file.writelines(f"{1_700_000_000 + n},D-{n % 7},{n}.5,{n % 90}\n" for n in range(rows))
        code, report, said = await load(ingest, path, "--dry-run", program=MEASURED)
        assert (code, report["rows"]) == (0, rows)
        peaks.append(int(said) / 1024)
        tell("window read", rows=rows, seconds=report["seconds"], peak_mb=peaks[-1])
    assert peaks[1] - peaks[0] < 15


# ---------------------------------------------------------------- ordered over the bus


async def order(ears: Ears, window: str, path: str, action: str = "run", **options: Any) -> None:
    command = Command(id=f"c-{window}", action=action, params={"path": path, "options": options})
    await ears.say((f"window/{window}/command", encode(command)))


def folder_of(ingest: Service) -> Path:
    folder = Path(ingest.settings["CAUDAL_DATA_DIR"]) / "windows"
    folder.mkdir(exist_ok=True)
    return folder


async def test_ordered_window_is_run_and_answered(ingest: Service, ears: Ears) -> None:
    path = folder_of(ingest) / "ordered.csv"
    path.write_text(f"ts,id,flow\n{TS},D-ordered,1\nsoon,D-ordered,2\n")
    await order(ears, "w-1", str(path))
    await until(lambda: bool(ears.results()))
    (result,) = ears.results()
    assert (result.id, result.ok) == ("c-w-1", True)
    assert {name: result.detail[name] for name in ("rows", "rejected", "path", "rejects_path")} == {
        "rows": 1, "rejected": 1, "path": str(path), "rejects_path": f"{path}.rejects.csv",
    }  # fmt: skip
    await until(lambda: bool(ears.readings("D-ordered")))
    assert {bundle.window for bundle in ears.bundles()} == {"w-1"}


async def test_ordered_dry_run_tells_the_same_and_sends_nothing(ingest: Service, ears: Ears) -> None:
    path = folder_of(ingest) / "tried.csv"
    path.write_text(f"ts,id,flow\n{TS},D-tried,1\nsoon,D-tried,2\n")
    await order(ears, "w-dry", str(path), action="dry_run")
    await order(ears, "w-wet", str(path))
    await until(lambda: len(ears.results()) >= 2)
    dry, wet = (result.detail for result in ears.results())
    same = ("rows", "rejected", "first_at", "last_at", "unknown", "variables", "first_rejects")
    assert {name: dry[name] for name in same} == {name: wet[name] for name in same}
    assert (dry["dry_run"], dry["rejects_path"], dry["unknown"]) == (True, None, ["D-tried"])
    await until(lambda: bool(ears.readings("D-tried")))
    assert {bundle.window for bundle in ears.bundles()} == {"w-wet"}


async def test_window_that_cannot_be_run_is_answered_by_field(ingest: Service, ears: Ears) -> None:
    (folder_of(ingest) / "bad.csv").write_text("a,b\n1,2\n")
    for window, path in (("w-bad", "bad.csv"), ("w-out", "../catalog.db"), ("w-none", "none.csv")):
        await order(ears, window, path)
    await until(lambda: len(ears.results()) >= 3)
    fields = {result.id: (result.ok, result.detail["field"]) for result in ears.results()}
    assert fields == {"c-w-bad": (False, "time_column"), "c-w-out": (False, "path"), "c-w-none": (False, "path")}


async def test_long_window_holds_up_no_uplink(ingest: Service, ears: Ears) -> None:
    path = folder_of(ingest) / "long.csv"
    with path.open("w") as file:
        file.write("ts,id,flow\n")
        file.writelines(f"{1_700_000_000 + n},D-long,{n}\n" for n in range(40_000))
    await order(ears, "w-long", "long.csv")
    await until(lambda: bool(ears.readings("D-long")))
    await ears.say(("telemetry/D-meanwhile/uplink", encode({"ts": TS, "values": {"flow": 1}})))
    await until(lambda: bool(ears.readings("D-meanwhile")))
    assert not ears.results()
    await until(lambda: bool(ears.results()))
    await until(lambda: len(ears.readings("D-long")) == 40_000)
    assert [reading.values["flow"] for reading in ears.readings("D-long")] == list(range(40_000))


async def test_window_under_way_when_ingest_is_killed_is_run_to_its_end(ingest: Service, ears: Ears) -> None:
    path = folder_of(ingest) / "killed.csv"
    with path.open("w") as file:
        file.write("ts,id,flow\n")
        file.writelines(f"{1_700_000_000 + n},D-killed,{n}\n" for n in range(30_000))
    await order(ears, "w-killed", "killed.csv")
    await until(lambda: bool(ears.readings("D-killed")))
    await asyncio.to_thread(ingest.kill)
    await asyncio.to_thread(ingest.start)
    await until(lambda: bool(ears.results()))
    assert ears.results()[0].detail["rows"] == 30_000
    await until(lambda: {reading.values["flow"] for reading in ears.readings("D-killed")} == set(range(30_000)))
