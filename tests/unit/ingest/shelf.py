"""A file as somebody hands it in, loaded into a bus in memory."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.domain.catalog import Point
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.ingest.adapters.parquet_frames import Limits
from caudal.ingest.adapters.rejects_file import RejectsFile
from caudal.ingest.adapters.tables import open_table
from caudal.ingest.domain.options import options_from
from caudal.ingest.domain.reports import Report
from caudal.ingest.handlers.loading import Loading

TS = "2026-03-02T10:00:00Z"


class Shelf:
    """A folder with one file, a bus and a catalog."""

    def __init__(self, folder: Path, content: bytes | str = b"", *points: Point) -> None:
        self.file = folder / "window.csv"
        self.file.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.bus = MemoryBus()
        self.catalog = MemoryCatalog(points)
        self.clock = FakeClock(datetime(2026, 3, 3, tzinfo=UTC))
        self.progress: list[int] = []

    async def load(self, dry_run: bool = False, **options: Any) -> Report:
        given = options_from(options)
        table = open_table(self.file, given, Limits())
        rejects = None if dry_run else RejectsFile(self.file)
        try:
            publisher = None if dry_run else self.bus
            loading = Loading(self.catalog, publisher, self.clock, window="w1")
            report = await loading.load(table, given, rejects, self.progress.append)
        finally:
            path = rejects.close() if rejects else None
            await table.close()
        report.rejects_path = path
        return report

    @property
    def bundles(self) -> list[RawReadings]:
        return [decode(message.payload, RawReadings) for message in self.bus.on("telemetry/+/raw")]

    @property
    def readings(self) -> list[tuple[str, RawReading]]:
        return [(bundle.device, reading) for bundle in self.bundles for reading in bundle.readings]

    @property
    def rejects(self) -> list[dict[str, str]]:
        path = self.file.with_name("window.csv.rejects.csv")
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
