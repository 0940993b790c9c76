"""What is told of a window: whose its rows are, what nobody is set up for, and each cell that was not taken."""

from pathlib import Path

import pytest

from caudal.common.domain.catalog import Point, Variable, VariableType
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.import_maps import history_options, map_from
from caudal.ingest.adapters.rejects_file import RejectsFile
from unit.ingest.shelf import TS, Shelf

WELL = Point(code="P1", device="D1", variables=(Variable(code="flow", type=VariableType.FLOW),))


@pytest.mark.parametrize("header", ["estación", "device", "codigo_obra"])
async def test_column_mapped_to_points_names_points_whatever_it_is_called(tmp_path: Path, header: str) -> None:
    shelf = Shelf(tmp_path, f"fecha;{header};q\n{TS};P1;1,5\n", WELL)
    said = map_from({"columns": {"measured_at": "fecha", "point": header, "flow": "q"}})
    report = await shelf.load(**history_options(said))
    assert [(device, reading.values) for device, reading in shelf.readings] == [("D1", {"flow": 1.5})]
    assert (report.points, report.unknown) == (1, [])


async def test_column_mapped_to_devices_names_devices_whatever_it_is_called(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"ts,punto,flow\n{TS},D1,1\n", WELL)
    report = await shelf.load(**history_options(map_from({"columns": {"device": "punto"}})))
    assert (report.rows, report.points) == (1, 1)


async def test_number_of_the_row_is_no_device_where_a_column_names_the_point(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"id,codigo_obra,ts,flow\n1,P1,{TS},1\n2,P1,2026-03-02T11:00:00Z,2\n", WELL)
    report = await shelf.load()
    assert [device for device, _ in shelf.readings] == ["D1", "D1"]
    assert report.columns["id"] == "ignored, numbers the rows"
    assert report.variables == ["flow"]


async def test_report_tells_what_the_catalog_does_not_know(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"ts,device,flow,ph\n{TS},D1,1,7\n{TS},D9,1,\n", WELL)
    report = await shelf.load(dry_run=True)
    assert (report.devices, report.points, report.unknown) == (2, 1, ["D9"])
    assert (report.variables, report.unconfigured) == (["flow", "ph"], ["P1/ph"])
    named = Shelf(tmp_path, f"ts,point,flow\n{TS},P1,1\n{TS},P9,1\n", WELL)
    report = await named.load(dry_run=True)
    assert (report.rows, report.rejected, report.unknown) == (1, 1, ["P9"])


async def test_header_that_only_spells_it_otherwise_is_the_variable_of_the_point(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"ts,device,FLOW,PH\n{TS},D1,1,x\n{TS},D9,1,7\n", WELL)
    report = await shelf.load()
    assert [reading.values for _, reading in shelf.readings] == [{"flow": 1}, {"FLOW": 1, "PH": 7}]
    assert report.unconfigured == []
    assert shelf.rejects[0]["field"] == "PH"
    said = await Shelf(tmp_path, f"ts,device,q\n{TS},D1,1\n", WELL).load(columns={"q": "FLOW"})
    assert said.unconfigured == ["P1/FLOW"]
    twice = await Shelf(tmp_path, f"ts,device,FLOW,Flow\n{TS},D1,1,2\n", WELL).load()
    assert twice.unconfigured == ["P1/FLOW", "P1/Flow"]


async def test_each_cell_that_was_not_taken_is_told_with_row_column_value_and_reason(tmp_path: Path) -> None:
    rows = f"ts,id,Caudal,ph\n{TS},D1,1.5,seven\n2026-02-31,D1,1.5,7\n2026-03-02T11:00:00Z,D1,2,6\n"
    shelf = Shelf(tmp_path, rows)
    report = await shelf.load()
    assert (report.rows, report.rejected, report.with_problems) == (2, 1, 1)
    told = [(each["row"], each["field"], each["value"]) for each in shelf.rejects]
    assert told == [("2", "ph", "seven"), ("3", "ts", "2026-02-31")]
    assert shelf.rejects[0]["reason"].endswith("(what else the row says was taken)")
    assert report.first_rejects[0]["value"] == "2026-02-31"


async def test_row_in_which_the_file_is_cut_off_is_not_taken(tmp_path: Path) -> None:
    whole = f"ts,id,flow,total\n{TS},D1,1,2\n2026-03-02T11:00:00Z,D1,12.5,200\n"
    cut = Shelf(tmp_path, whole[:-8])
    report = await cut.load()
    assert (report.rows, report.rejected) == (1, 1)
    assert "cut off: it has 3 of 4 cells" in cut.rejects[0]["reason"]
    unsure = await Shelf(tmp_path, whole[:-2]).load()
    assert (unsure.rows, unsure.rejected) == (2, 0)
    assert any("no line end" in note for note in unsure.notes)
    assert not any("no line end" in note for note in (await Shelf(tmp_path, whole).load()).notes)


def test_rejects_that_cannot_be_written_are_an_error_and_not_lost(tmp_path: Path) -> None:
    rejects = RejectsFile(tmp_path / "nowhere" / "window.csv")
    with pytest.raises(InvalidInput, match="path"):
        rejects.put(2, "ts", "never", "is no time", "{}")
    (tmp_path / "window.csv.rejects.csv").mkdir()
    with pytest.raises(InvalidInput, match="path"):
        RejectsFile(tmp_path / "window.csv")


async def test_column_that_was_named_by_hand_is_read_cell_by_cell_whatever_it_holds(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, f"ts|device|q|total\n{TS}|D1|12,5|1.5\n2026-03-02T11:00:00Z|D1|13,5|2.5\n", WELL)
    with pytest.raises(InvalidInput, match="'q'"):
        await shelf.load()
    report = await shelf.load(columns={"q": "flow"})
    assert (report.rows, report.with_problems) == (2, 2)
    assert [each["value"] for each in shelf.rejects] == ["12,5", "13,5"]
