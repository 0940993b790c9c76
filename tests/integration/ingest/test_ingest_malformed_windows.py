"""Malformed rows and files: every row is a reading or among the rejects, every file is read or refused."""

import random
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from buses import until
from caudal.common.domain.errors import InvalidInput
from caudal.ingest.adapters.parquet_frames import Limits
from caudal.ingest.adapters.tables import open_table
from caudal.ingest.domain.options import Options
from ears import Ears
from figures import tell
from integration.ingest.test_ingest_windows import load
from malformed import SCALARS, damaged
from servers.service import Service

COUNT = 10_000
START = datetime(2026, 3, 2, tzinfo=UTC)
HEADER = ("ts", "device", "flow", "note")
SAYING = ("--delimiter", ",", "--decimal", ".", "--time-format", "auto", "--time-column", "ts", "--id-column", "device",
          "--column", "flow=flow", "--time-zone", "UTC")  # fmt: skip
CELLS = [str(scalar) for scalar in SCALARS if scalar != "\ud800"]
CELLS += ['"', '""', "'", '"a', 'a"b', ",", ",,", ";", "\t", "\r"]


def rows(chance: random.Random) -> Iterable[list[str]]:
    """Rows of which some cells are wrong; the last one holds a mark."""
    for number in range(COUNT):
        row = [(START + timedelta(seconds=number)).isoformat(), f"m-{number % 50}", str(number), f"row-{number}."]
        for _ in range(chance.choice((0, 1, 1, 2))):
            row[chance.randrange(3)] = chance.choice(CELLS)
        yield row


def marks(texts: Iterable[str]) -> set[str]:
    return {mark for text in texts for mark in re.findall(r"row-\d+\.", text)}


async def loaded(ingest: Service, ears: Ears, path: Path) -> tuple[set[str], set[str]]:
    """Marks of the rows that became readings, and of those among the rejects."""
    code, report, error = await load(ingest, path, *SAYING)
    assert (code, error) == (0, ""), report
    await until(lambda: sum(len(bundle.readings) for bundle in ears.bundles()) >= report["rows"])
    rejects = Path(f"{path}.rejects.csv").read_text(encoding="utf-8")
    tell(f"malformed rows of {path.suffix}", rows=COUNT, readings=report["rows"], rejected=report["rejected"])
    return marks(reading.payload for bundle in ears.bundles() for reading in bundle.readings), marks([rejects])


async def test_every_malformed_row_of_a_csv_is_a_reading_or_a_reject(
    ingest: Service, ears: Ears, tmp_path: Path
) -> None:
    chance, lines = random.Random(20260302), [",".join(HEADER).encode()]
    for row in rows(chance):
        *cells, mark = (cell.encode() for cell in row)
        line = b",".join(cells)
        lines.append((damaged(line, chance).replace(b"\n", b" ") if chance.random() < 0.2 else line) + b"," + mark)
    path = tmp_path / "malformed.csv"
    path.write_bytes(b"\n".join(lines) + b"\n")
    stored, rejected = await loaded(ingest, ears, path)
    assert {f"row-{number}." for number in range(COUNT)} - stored - rejected == set()
    assert stored
    assert rejected


async def test_every_malformed_row_of_a_parquet_file_is_a_reading_or_a_reject(
    ingest: Service, ears: Ears, tmp_path: Path
) -> None:
    columns = zip(*rows(random.Random(20260302)), strict=True)
    path = tmp_path / "malformed.parquet"
    pq.write_table(pa.table(dict(zip(HEADER, map(list, columns), strict=True))), path, row_group_size=1000)
    stored, rejected = await loaded(ingest, ears, path)
    assert {f"row-{number}." for number in range(COUNT)} - stored - rejected == set()


async def test_broken_parquet_files_are_read_or_refused(tmp_path: Path) -> None:
    chance, good, broken = random.Random(20260302), tmp_path / "good.parquet", tmp_path / "broken.parquet"
    pq.write_table(pa.table({"ts": ["2026-03-02T10:00:00Z"] * 100, "flow": range(100)}), good)
    read = refused = 0
    for number in range(12):
        content = damaged(good.read_bytes(), chance)
        broken.write_bytes(b"PAR1" + content[4:] if number % 2 else content)
        try:
            table = open_table(broken, Options(), Limits())
            try:
                read += sum([1 async for _ in table.batches()]) >= 0
            finally:
                await table.close()
        except InvalidInput:
            refused += 1
    tell("broken Parquet files", files=12, read=read, refused=refused)
    assert (read + refused, refused > 0) == (12, True)
