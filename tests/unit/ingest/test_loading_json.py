"""History as JSON: documents and lines, whatever an older system makes of them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.table_files import is_json
from caudal.ingest.adapters import json_table
from unit.ingest.shelf import TS, Shelf

ROWS: list[dict[str, Any]] = [
    {"ts": TS, "device": "D1", "flow": 1.5, "note": None},
    {"ts": "2026-03-02T11:00:00Z", "device": "D1", "flow": 0, "total": "184"},
]
LINES = "\n".join(json.dumps(row) for row in ROWS)


@pytest.mark.parametrize(
    "content",
    [json.dumps(ROWS), json.dumps({"count": 2, "data": ROWS}, indent=2), f"{LINES}\n", f"\ufeff{LINES}\n\n"],
)
async def test_json_of_any_make_says_the_same(tmp_path: Path, content: str) -> None:
    shelf = Shelf(tmp_path, content)
    report = await shelf.load()
    assert (report.rows, report.rejected, report.source_format) == (2, 0, "json")
    assert [reading.values for _, reading in shelf.readings] == [{"flow": 1.5}, {"flow": 0, "total": 184}]
    assert shelf.readings[0][1].measured_at == datetime(2026, 3, 2, 10, tzinfo=UTC)


async def test_one_object_is_one_row(tmp_path: Path) -> None:
    assert (await Shelf(tmp_path, json.dumps(ROWS[0])).load()).rows == 1


async def test_row_that_is_none_is_put_away_by_number(tmp_path: Path) -> None:
    lines = [
        LINES,
        "[1]",
        '{"ts": ',
        '{"ts": "never", "device": "D1", "flow": 1}',
        json.dumps(ROWS[0] | {"deep": [[]]}),
    ]
    shelf = Shelf(tmp_path, "\n".join(lines))
    report = await shelf.load()
    assert (report.rows, report.rejected) == (3, 3)
    assert [(each["row"], each["field"]) for each in shelf.rejects] == [("3", "row"), ("4", "row"), ("5", "ts")]


async def test_field_that_comes_late_is_not_left_out_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_table, "SAMPLE_ROWS", 1)
    shelf = Shelf(tmp_path, LINES)
    report = await shelf.load()
    assert (report.rows, report.rejected) == (1, 1)
    assert "'total'" in shelf.rejects[0]["reason"]


@pytest.mark.parametrize("content", ["[{]", "[]", "[1, 2]", '{"a": 1', "{}", '[{"ts": 1}, ', "[" * 100_000])
async def test_file_that_is_no_table_is_refused_whole(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidInput):
        await Shelf(tmp_path, content).load()


async def test_document_is_bounded_and_lines_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "MAX_DOCUMENT", 100)
    with pytest.raises(InvalidInput, match="line"):
        await Shelf(tmp_path, json.dumps(ROWS)).load()
    assert (await Shelf(tmp_path, LINES).load()).rows == 2


@pytest.mark.parametrize(
    ("head", "is_one"),
    [(b"[{", True), (b" [ ]", True), (b'\xef\xbb\xbf{"a"', True), (b"[fecha];[caudal]", False), (b"{a};b", False)],
)
def test_json_is_known_by_how_it_begins(head: bytes, is_one: bool) -> None:
    assert is_json(head) is is_one
