"""Tables from the wild: what their columns are for, and when somebody has to say so."""

from datetime import UTC, datetime
from typing import Any

import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.common.domain.payloads.zones import Zones
from caudal.ingest.domain import windows
from caudal.ingest.domain.options import options_from
from caudal.ingest.domain.sniffing import sniff_decimal, sniff_delimiter, sniff_time_format
from caudal.ingest.domain.windows import MAX_CELL, Plan, Row

RECEIVED_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
TS = "2026-03-02T10:00:00Z"
IN_UTC = Zones(("UTC",))


def plan(headers: str, *rows: str, **options: Any) -> Plan:
    sample = [Row(number, row.split("|")) for number, row in enumerate(rows, 2)]
    return Plan(headers.split("|"), sample, options_from(options), "csv")


def roles(made: Plan) -> dict[str, str]:
    return {column.header: column.code or column.role.value for column in made.columns}


def test_usual_names_are_understood() -> None:
    made = plan("Fecha|Hora|Dispositivo|Caudal medio [l/s]|Nivel (m)|estado", "31/03/2026|10:00|D1|1.5|2|OK")
    assert roles(made) == {
        "Fecha": "time",
        "Hora": "time of day",
        "Dispositivo": "device",
        "Caudal medio [l/s]": "caudal_medio",
        "Nivel (m)": "nivel",
        "estado": "ignored",
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("ts|id|flow|level", ["time", "device", "flow", "level"]),
        ("timestamp|point|Flow", ["time", "point", "Flow"]),
        ("id|Time|Water flow [l/s]|Water flow [m3/h]", ["device", "time", "water_flow", "water_flow_m3_h"]),
        ("date|time|unit|q|q|", ["time", "time of day", "device", "q", "q_2", "column_6"]),
        ("ts|fecha|serial|logged_at|n", ["time", "ignored", "device", "logged_at", "n"]),
        ("Fecha y hora|Código punto|Conductividad eléctrica [µS/cm]", ["time", "point", "conductividad_electrica"]),
    ],
)
def test_columns_are_told_apart(headers: str, expected: list[str]) -> None:
    cells = {"time": TS, "ts": TS, "timestamp": TS, "Time": TS, "Fecha y hora": TS, "date": "2026-03-02"}
    row = "|".join(cells.get(header, "x" if header == "fecha" else "5") for header in headers.split("|"))
    if headers.startswith("date"):
        row = row.replace(TS, "10:00")
    assert list(roles(plan(headers, row)).values()) == expected


def test_mostly_numeric_column_is_a_variable_and_its_words_are_problems() -> None:
    made = plan("ts|id|flow|note", f"{TS}|D|1.5|dry", f"{TS}|D|ERR|7", f"{TS}|D||wet")
    assert roles(made)["note"] == "ignored"
    with pytest.raises(Unreadable, match="'ERR' is no number"):
        made.read(Row(3, [TS, "D", "ERR", "7"]), IN_UTC, RECEIVED_AT)


def test_total_that_grows_past_a_thousand_is_asked_about_not_left_out() -> None:
    rows = [f"{TS}|D|0,5|{total}" for total in ("998", "999", "1.000", "1.001")]
    with pytest.raises(InvalidInput, match=r"'1\.000' in 'total' is a number if '\.' parts thousands"):
        plan("ts|id|flow|total", *rows)
    made = plan("ts|id|flow|total", *rows, thousands=".")
    assert made.read(Row(4, [TS, "D", "0,5", "1.000"]), IN_UTC, RECEIVED_AT).values == {"flow": 0.5, "total": 1000}
    assert roles(plan("ts|id|flow|total", *rows, ignore=["total"]))["total"] == "ignored"


def test_words_with_numbers_in_them_are_nothing_to_ask_about() -> None:
    row = f"{TS}|D 1.234|0,5|since 1.234,5|10.0.3.7"
    assert roles(plan("ts|id|flow|note|address", row))["note"] == "ignored"


def test_column_that_is_empty_in_the_first_rows_is_not_lost() -> None:
    made = plan("ts|id|flow|level", f"{TS}|D|1|", f"{TS}|D|2|")
    assert made.read(Row(4, [TS, "D", "3", "9.5"]), IN_UTC, RECEIVED_AT).values == {"flow": 3, "level": 9.5}


def test_header_is_given_another_code_and_columns_are_left_out_as_asked() -> None:
    made = plan(
        "when|flow [l/s]|junk|id", f"{TS}|1|2|9", device="D", id_column="-", time_column="when",
        columns={"flow [l/s]": "flow"}, ignore=["junk", "id"],
    )  # fmt: skip
    assert roles(made) == {"when": "time", "flow [l/s]": "flow", "junk": "ignored", "id": "ignored"}


@pytest.mark.parametrize(
    ("headers", "row", "options", "field"),
    [
        ("a|b", "1|2", {}, "time_column"),
        ("ts|flow", f"{TS}|1", {}, "device"),
        ("ts|id|flow", f"{TS}|D|1", {"device": "D"}, "device"),
        ("ts|id|name", f"{TS}|D|x", {}, "columns"),
        ("ts|id|flow", f"{TS}|D|1", {"time_column": "Zeit"}, "time_column"),
        ("ts|id|flow", f"{TS}|D|1", {"id_column": "Zeit"}, "id_column"),
        ("ts|id|flow", f"{TS}|D|1", {"columns": {"q": "flow"}}, "column"),
        ("ts|id|flow", "05/03/2026|D|1", {}, "time_format"),
        ("ts|id|flow", "next week|D|1", {}, "time_format"),
        ("ts|id|flow", f"{TS}|D|1,234", {}, "decimal"),
        ("ts|id|flow|total", f"{TS}|D|0,5|1.234,5", {}, "thousands"),
        ("ts|id|flow|total", f"{TS}|D|0,5|18.423", {}, "thousands"),
        ("ts|id|total", f"{TS}|D|1,234.5", {}, "thousands"),
        ("ts|id|total", f"{TS}|D|1 234", {}, "thousands"),
        ("ts|id|total", f"{TS}|D|1.234,5", {}, "thousands"),
        ("ts|id|flow|total", f"{TS}|D|0,5|12.5", {}, "decimal"),
        ("ts|id|flow|total", f"{TS}|D|0,5|12.5", {"decimal": ","}, "decimal"),
    ],
)
def test_what_the_file_does_not_say_is_asked_for_by_the_name_of_the_option(
    headers: str, row: str, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        plan(headers, row, **options)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"point": "P", "device": "D"}, "options.device"),
        ({"time_zone": "Chile"}, "options.time_zone"),
        ({"delimiter": ";;"}, "options.delimiter"),
        ({"decimal": "'"}, "options.decimal"),
        ({"time_format": "%Q"}, "options.time_format"),
        ({"columns": {"q": "a b"}}, "options.columns.q"),
        ({"colour": 1}, "options"),
        ({"ignore": 3}, "options.ignore"),
        ({"thousands": "x"}, "options.thousands"),
        (3, "options"),
    ],
)
def test_options_that_cannot_be_used_say_which(options: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        options_from(options)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (["", "D", "1"], "Time"),
        (["1970-01-01T00:00:01Z", "D", "1"], "Time"),
        (["2026-03-02T10:00:00", "D", "1"], "Time"),
        ([TS, "D", "x"], "flow"),
        ([TS, "D", ""], "values"),
        ([TS, "D"], "values"),
        ([TS, "D", "x" * (MAX_CELL + 1)], "flow"),
    ],
)
def test_row_that_cannot_be_read_names_its_column(row: list[str], field: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        plan("Time|id|flow", f"{TS}|D|1").read(Row(2, row), None, RECEIVED_AT)
    assert refusal.value.field == field


@pytest.mark.parametrize("row", [[TS, "D", "1", "2"], [TS, "", "1"], [TS, None, "1"]])
def test_row_of_nobody_and_row_out_of_line_are_refused(row: list[Any]) -> None:
    with pytest.raises(Unreadable):
        plan("Time|id|flow", f"{TS}|D|1").owner(Row(2, row))


def test_empty_cells_behind_the_last_column_are_no_fault() -> None:
    made = plan("Time|id|flow", f"{TS}|D|1")
    assert made.owner(Row(2, [TS, "D", "1", "", ""])) == "D"
    assert made.read(Row(2, [TS, "D", "1", "", ""]), IN_UTC, RECEIVED_AT).values == {"flow": 1}


def test_row_becomes_a_payload_with_its_metadata() -> None:
    made = plan("Fecha|id|Caudal [l/s]", "2026-03-02T07:00:00|D|1,5", time_zone="America/Santiago")
    row = Row(2, ["2026-03-02T07:00:00", "D", "1,5"])
    reading = made.read(row, IN_UTC, RECEIVED_AT)
    assert made.payload(row, reading.measured_at) == {
        "Fecha": "2026-03-02T07:00:00",
        "id": "D",
        "Caudal [l/s]": "1,5",
        "__src_format": "csv",
        "ts": "2026-03-02T10:00:00Z",
    }


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a,b,c", "1,2,3"], ","),
        (["a;b;c", "1,5;2,5;3,5", "1,5;2,5;3,5"], ";"),
        (["a\tb", "1,2\t3"], "\t"),
        (["a|b,c", "1|2", "3|4"], "|"),
        (['"a,b";c', '"1,2";3'], ";"),
    ],
)
def test_delimiter_is_the_one_that_cuts_all_lines_alike(lines: list[str], delimiter: str) -> None:
    assert sniff_delimiter(lines) == delimiter


def test_cell_without_end_does_not_hide_the_delimiter() -> None:
    assert sniff_delimiter(["ts,total", "x," + "9" * 200_000]) == ","


def test_single_column_has_no_delimiter() -> None:
    with pytest.raises(InvalidInput, match="no delimiter"):
        sniff_delimiter(["flow", "1"])


def test_decimal_comma_is_told_from_the_numbers() -> None:
    assert sniff_decimal(["1,5", "x", "2,25"]) == ","
    assert sniff_decimal(["1,5", "2.5"]) == "."
    assert sniff_decimal(["15", ""]) == "."
    assert sniff_decimal(["1,234", "0,5"]) == ","
    assert sniff_decimal(["18.423", "0,5"]) == ","


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        ([TS, "2026-03-02 10:00"], "auto"),
        (["1772445600", "1772445600000"], "auto"),
        (["31/12/2025 10:00", "01/01/2026 10:00"], "%d/%m/%Y %H:%M"),
        (["12/31/2025 10:00:05", "01/01/2026 10:00:05"], "%m/%d/%Y %H:%M:%S"),
        (["31-12-25"], "%d-%m-%y"),
        (["2025/12/31 10:00"], "%Y/%m/%d %H:%M"),
        (["31.12.2025 10:00", "nonsense", "30.12.2025 10:00"], "%d.%m.%Y %H:%M"),
        (["12/31/2025 10:00 PM"], "%m/%d/%Y %I:%M %p"),
        ([], "auto"),
    ],
)
def test_form_of_times_is_told_from_the_first_rows(cells: list[str], form: str) -> None:
    assert sniff_time_format(cells) == form


def test_points_whose_zones_differ_are_read_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_READERS", 2)
    made = plan("Time|id|flow", "2026-03-02T10:00:00|D|1")
    kept = set()
    for hour in (9, 13, 12, 13, 9):
        moved = Zones(("UTC", "America/Lima"), (RECEIVED_AT.replace(hour=hour),))
        read = made.read(Row(2, ["2026-03-02T07:30:00", "D", "1"]), moved, RECEIVED_AT)
        assert read.measured_at.isoformat() == f"2026-03-02T{'07' if hour == 13 else '12'}:30:00+00:00"
        kept.add(len(made._readers))
    assert kept == {1, 2}
