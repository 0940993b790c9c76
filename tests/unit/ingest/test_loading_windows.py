"""Files become readings: every row is sent or put away with its number, in the order of the file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from caudal.common.domain.catalog import Point, Version
from caudal.common.domain.errors import InvalidInput, Transient
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Outgoing
from caudal.common.testing.memory_bus import MemoryBus
from caudal.ingest.adapters import csv_table
from caudal.ingest.adapters.parquet_frames import Limits
from caudal.ingest.adapters.rejects_file import RejectsFile
from caudal.ingest.adapters.tables import open_table
from caudal.ingest.domain.options import options_from
from caudal.ingest.handlers.loading import Loading
from unit.ingest.shelf import TS, Shelf


async def test_rows_travel_as_readings_of_their_window(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"ts,id,flow\n{TS},D1,1.5\n2026-03-02T11:00:00Z,D2,2\n")
    report = await shelf.load()
    assert (report.rows, report.rejected, report.devices, report.rejects_path) == (2, 0, 2, None)
    bundle = shelf.bundles[0]
    assert (bundle.device, bundle.inlet, bundle.window, bundle.source_format) == ("D1", Inlet.WINDOW, "w1", "csv")
    assert bundle.readings[0].values == {"flow": 1.5}
    assert msgspec.json.decode(bundle.readings[0].payload) == {
        "ts": TS, "id": "D1", "flow": "1.5", "__src_format": "csv",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("\ufeffts;id;Caudal [l/s]\n{ts};Pozo 1;1,5\n", {}),
        ("ts\tid\tCaudal\n{ts}\tPozo 1\t1.5\n", {}),
        ("sep=|\r\nts|id|Caudal\r\n{ts}|Pozo 1|1.5\r\n", {}),
        ('"ts","id","Caudal"\n"{ts}","Pozo 1","1,5"\n', {}),
        ("\n\nts,id,Caudal,nota\n{ts},Pozo 1,1.5,sí\n\n", {}),
        ("ts,Caudal\n{ts},1.5\n", {"device": "Pozo 1"}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
async def test_csv_of_any_make_says_the_same(
    tmp_path: Path, content: str, options: dict[str, Any], encoding: str
) -> None:
    if encoding != "utf-8":
        content = content.removeprefix("\ufeff").replace("Caudal", "Caudal í")
    shelf = Shelf(tmp_path, content.format(ts=TS).encode(encoding))
    report = await shelf.load(**options)
    ((device, reading),) = shelf.readings
    assert (report.rows, device.startswith("Pozo_1-"), list(reading.values.values())) == (1, True, [1.5])


async def test_times_without_a_zone_are_utc_where_no_point_says_otherwise_and_the_report_says_so(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, "ts,id,flow\n2026-03-02 10:00:00,D1,1.5\n")
    report = await shelf.load()
    ((_, reading),) = shelf.readings
    assert reading.measured_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert "times without a zone are those of the device's point, UTC where there is none" in report.notes


async def test_named_point_gives_device_and_zone(tmp_path: Path) -> None:
    point = Point(code="P1", device="D1", time_zone="America/Santiago")
    shelf = Shelf(tmp_path, "fecha,hora,caudal\n2026-03-02,07:00,1.5\n", point)
    await shelf.load(point="P1")
    ((device, reading),) = shelf.readings
    assert (device, reading.measured_at) == ("D1", datetime(2026, 3, 2, 10, tzinfo=UTC))
    with pytest.raises(InvalidInput, match="no point 'P9'"):
        await shelf.load(point="P9")


async def test_history_is_read_by_the_zone_of_its_time_unless_the_options_name_one(tmp_path: Path) -> None:
    since = datetime(2026, 3, 2, 9, tzinfo=UTC)
    earlier = (Version(valid_until=since, sampling_minutes=60, time_zone="UTC"),)
    point = Point(code="P1", device="D1", time_zone="America/Santiago", earlier=earlier)
    shelf = Shelf(tmp_path, "ts,point,q\n2026-03-01T10:00:00,P1,1\n2026-03-02T07:00:00,P1,1\n", point)
    await shelf.load()
    assert [reading.measured_at.isoformat() for _, reading in shelf.readings] == [
        "2026-03-01T10:00:00+00:00", "2026-03-02T10:00:00+00:00",
    ]  # fmt: skip
    await shelf.load(time_zone="America/Lima")
    assert [reading.measured_at.hour for _, reading in shelf.readings[2:]] == [15, 12]


async def test_column_of_points_is_looked_up_row_by_row(tmp_path: Path) -> None:
    point = Point(code="P1", device="D1", time_zone="America/Santiago")
    shelf = Shelf(tmp_path, "ts,punto,q\n2026-03-02T07:00:00,P1,1\n2026-03-02T07:00:00,P2,1\n", point)
    report = await shelf.load()
    assert [device for device, _ in shelf.readings] == ["D1"]
    assert (report.rejected, shelf.rejects[0]["row"], shelf.rejects[0]["field"]) == (1, "3", "point")


async def test_rows_that_cannot_be_read_are_kept_with_number_and_reason(tmp_path: Path) -> None:
    rows = [
        f"{TS},D,1",
        "soon,D,1",
        f"{TS},D,",
        f"{TS},,1",
        f"{TS},D,1,9",
        "1970-01-01,D,1",
        f"{TS},D,=1+1",
        f"{TS},D,2",
    ]
    shelf = Shelf(tmp_path, "ts,id,flow\n" + "\n".join(rows))
    report = await shelf.load(time_zone="UTC")
    assert (report.rows, report.rejected) == (2, 6)
    assert [(row["row"], row["field"]) for row in shelf.rejects] == [
        ("3", "ts"), ("4", "values"), ("5", "id"), ("6", "row"), ("7", "ts"), ("8", "flow"),
    ]  # fmt: skip
    assert all(row["reason"] for row in shelf.rejects)
    assert msgspec.json.decode(shelf.rejects[0]["content"])["ts"] == "soon"
    assert report.rejects_path == str(shelf.file) + ".rejects.csv"
    assert [row["row"] for row in report.first_rejects] == [*range(3, 3 + report.rejected)]


async def test_rejects_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "ts,id,flow\nsoon,D,1\n" + f"{TS},D,1\n" * 2)
    await shelf.load()
    shelf.file.write_text(f"ts,id,flow\n{TS},D,1\n")
    report = await shelf.load()
    assert (report.rejects_path, shelf.rejects) == (None, [])


async def test_dry_run_shows_and_sends_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"ts,id,flow [m3/h],level,who\n{TS},D,1.5,?,x\nsoon,D,1,1,y\n{TS},D,1,2,z\n")
    report = await shelf.load(dry_run=True)
    assert not shelf.bus.published
    assert not shelf.rejects
    assert (report.rows, report.rejected, report.with_problems, report.dry_run) == (2, 1, 1, True)
    assert report.columns == {
        "ts": "time",
        "id": "device",
        "flow [m3/h]": "variable flow, header says m3/h",
        "level": "variable level",
        "who": "ignored, mostly no numbers",
    }
    assert report.first_rows[0]["values"] == {"flow": 1.5}
    assert report.first_rejects[0]["row"] == 3


async def test_quoted_line_breaks_are_cells_and_a_stray_quote_costs_one_row(tmp_path: Path) -> None:
    many = "".join(f"{TS},D,{number},a\n" for number in range(3000))
    content = f'ts,id,flow,note\n{TS},D,1,"two\nlines"\n{TS},D,2,"stray\n{many}'
    shelf = Shelf(tmp_path, content)
    report = await shelf.load()
    assert (report.rows, report.rejected) == (3001, 1)
    assert shelf.rejects[0]["row"] == "4"
    assert "stray" in shelf.rejects[0]["content"]
    assert report.first_rows[1]["row"] == 5


async def test_endless_line_and_huge_cell_cost_one_row_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_LINE", 100_000)
    content = f"ts,id,flow\n{TS},D,1\n{TS},{'D' * 300_000},2\n{TS},D,{'9' * 40_000}\n{TS},D,3\n"
    shelf = Shelf(tmp_path, content)
    report = await shelf.load()
    assert ([reading.values["flow"] for _, reading in shelf.readings], report.rejected) == ([1, 3], 2)
    assert [row["row"] for row in shelf.rejects] == ["3", "4"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"one,two", b"PAR1junk"])
async def test_file_that_is_no_table_is_an_error_that_says_so(tmp_path: Path, content: bytes) -> None:
    shelf = Shelf(tmp_path, content)
    with pytest.raises(InvalidInput) as refusal:
        await shelf.load()
    assert refusal.value.field in ("file", "time_column")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"PK\x03\x04;a;b\n1;2", "it is no text"), (b"ts,id,flow\r2026-03-02,D,1\r", "end with CR alone")],
)
async def test_file_of_another_kind_is_told_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refusal:
        await Shelf(tmp_path, content).load()
    assert refusal.value.field == "file"


async def test_unknown_or_wrong_encoding_is_named(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "ts,id,flow\n2026-03-02,D,ñ\n".encode("latin-1"))
    for encoding in ("klingon", "utf-8"):
        with pytest.raises(InvalidInput) as refusal:
            await shelf.load(encoding=encoding)
        assert refusal.value.field == "encoding"


async def test_later_row_of_one_instant_is_received_later(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "ts,id,flow\n" + f"{TS},D,1\n" * 1200)
    await shelf.load()
    received = [reading.received_at for _, reading in shelf.readings]
    assert received == sorted(set(received))
    assert [len(bundle.readings) for bundle in shelf.bundles] == [500, 500, 200]


async def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "ts,id,flow\n" + f"{TS},D,1\n" * 2000)
    await shelf.load()
    assert shelf.progress == sorted(shelf.progress)
    assert shelf.progress[-1] == shelf.file.stat().st_size


async def test_bus_that_stays_away_ends_the_window_and_one_that_comes_back_does_not(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"ts,id,flow\n{TS},D,1\n")
    away = _Away(shelf.bus, failures=2)
    given = options_from({})
    for patience_s, ends in ((60.0, False), (0.0, True)):
        table = open_table(shelf.file, given, Limits())
        away.failures = 2
        loading = Loading(shelf.catalog, away, shelf.clock, window="w", patience_s=patience_s)
        try:
            await loading.load(table, given, None, shelf.progress.append)
            assert not ends
        except Transient:
            assert ends
        finally:
            await table.close()
    assert len(shelf.readings) == 1


class _Away:
    """A publisher that fails some times first."""

    def __init__(self, bus: MemoryBus, failures: int) -> None:
        self.bus = bus
        self.failures = failures

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.failures:
            self.failures -= 1
            raise Transient("the broker is away", 0.01)
        await self.bus.publish(messages)


def test_rejects_file_holds_nothing_that_a_spreadsheet_would_run(tmp_path: Path) -> None:
    rejects = RejectsFile(tmp_path / "w.csv")
    rejects.put(7, "=cmd|x", "-2", "+1", "@SUM(A1)")
    path = rejects.close()
    assert path is not None
    assert Path(path).read_text().splitlines()[1] == "7,'=cmd|x,'-2,'+1,'@SUM(A1)"


async def test_of_a_client_only_rows_of_its_own_points_are_taken(tmp_path: Path) -> None:
    points = (Point(code="A", device="D1", client="acme"), Point(code="B", device="D2", client="other"))
    content = f"ts,id,flow\n{TS},D1,1\n{TS},D2,2\n{TS},D3,3\n"
    shelf = Shelf(tmp_path, content, *points, Point(code="N", device="D4"))
    report = await shelf.load(client="acme")
    assert [device for device, _ in shelf.readings] == ["D1"]
    assert [each["reason"] for each in shelf.rejects] == [
        "there is no point with the device 'D2'",
        "there is no point with the device 'D3'",
    ]
    assert (report.rows, report.rejected) == (1, 2)


@pytest.mark.parametrize("said", [{"point": "B"}, {"device": "D2"}, {"device": "D3"}, {"point": "N"}])
async def test_of_a_client_no_other_point_can_be_named(tmp_path: Path, said: dict[str, str]) -> None:
    points = (Point(code="B", device="D2", client="other"), Point(code="N", device="D4"))
    shelf = Shelf(tmp_path, f"ts,flow\n{TS},1\n", *points)
    with pytest.raises(InvalidInput) as refused:
        await shelf.load(client="acme", **said)
    assert refused.value.field in said
    assert shelf.readings == []
