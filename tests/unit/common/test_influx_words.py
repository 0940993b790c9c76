"""What is said to InfluxDB is quoted, whatever it holds, and what it answers is judged rightly."""

from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.adapters.influx import influxql
from caudal.common.adapters.influx.errors import Missing, Refusal, judged
from caudal.common.adapters.influx.http import reason_in
from caudal.common.adapters.influx.line_protocol import body, field_key, line, variable_of
from caudal.common.domain.errors import Transient
from caudal.common.ports import SeriesRow

AT = datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)


def test_a_row_is_one_line_of_floats() -> None:
    row = SeriesRow("well-1", AT, {"flow": 1, "total": 0.1 + 0.2}, "twin")
    assert line(row) == "telemetry,point=well-1,provider=twin flow=1.0,total=0.30000000000000004 1772366400000250"


def test_a_row_without_provider_has_no_such_tag() -> None:
    assert line(SeriesRow("well-1", AT - timedelta(days=40_000), {"a": -0.5})) == (
        "telemetry,point=well-1 a=-0.5 -1683633599999750"
    )


def test_rows_without_fields_have_no_line() -> None:
    rows = [SeriesRow("a", AT, {}), SeriesRow("b", AT, {"x": 1.0}), SeriesRow("c", AT, {"x": 1.0})]
    assert body(rows).count(b"\n") == 1


def test_separators_in_names_are_escaped() -> None:
    hostile = SeriesRow("a b,c=d", AT, {"x=1,y 2": 1.0}, "p,q r=s\nt")
    assert line(hostile).startswith(r"telemetry,point=a\ b\,c\=d,provider=p\,q\ r\=s\nt x\=1\,y\ 2=1.0 ")


@pytest.mark.parametrize("variable", ["time", "point", "provider", "flow", "times"])
def test_a_variable_has_a_field_of_its_own(variable: str) -> None:
    assert variable_of(field_key(variable)) == variable
    assert field_key(variable) not in {"time", "point", "provider"}


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("flow", '"flow"'), ('a"b', r'"a\"b"'), ("a\\", r'"a\\"'), ('\\"', r'"\\\""'), ("a\nb", r'"a\nb"')],
)
def test_identifiers_cannot_end_early(name: str, quoted: str) -> None:
    assert influxql.identifier(name) == quoted


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("well-1", "'well-1'"), ("x' OR '1'='1", r"'x\' OR \'1\'=\'1'"), ("a\\", r"'a\\'"), ("\\'", r"'\\\''")],
)
def test_values_cannot_end_early(text: str, quoted: str) -> None:
    assert influxql.literal(text) == quoted


RETENTION_1 = "partial write: points beyond retention policy dropped=12"
RETENTION_2 = (
    "failure writing points to database: partial write: dropped 12 points outside retention policy of duration"
    " 2160h0m0s - oldest point telemetry,point=a at 1970-01-01T00:00:01Z dropped because it violates a Retention Policy"
)


@pytest.mark.parametrize(("status", "reason"), [(400, RETENTION_1), (422, RETENTION_2)])
def test_a_write_refused_for_its_age_says_how_many_points_were(status: int, reason: str) -> None:
    error = judged(status, reason)
    assert isinstance(error, Refusal)
    assert (error.beyond_retention, error.dropped) == (True, 12)


@pytest.mark.parametrize(
    "reason", ["partial write: field type conflict: input field dropped=1", "unable to parse 'x': bad timestamp"]
)
def test_other_refusals_are_not_taken_for_age(reason: str) -> None:
    error = judged(400, reason)
    assert isinstance(error, Refusal)
    assert not error.beyond_retention


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 504])
def test_what_the_rows_cannot_help_is_tried_again(status: int) -> None:
    assert isinstance(judged(status, "whatever"), Transient)


@pytest.mark.parametrize(
    "reason", ['database not found: "telemetry"', 'bucket "telemetry" not found', 'organization name "x" not found']
)
def test_what_is_missing_is_to_be_set_up(reason: str) -> None:
    assert isinstance(judged(404, reason), Missing)


@pytest.mark.parametrize(("header", "pause"), [("7", 7.0), (None, 1.0), ("soon", 1.0), ("99999", 300.0), ("-5", 1.0)])
def test_a_server_may_say_when_to_come_again(header: str | None, pause: float) -> None:
    error = judged(503, "not now", header)
    assert isinstance(error, Transient)
    assert error.retry_after_s == pause


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b'{"error":"bad"}', "bad"),
        (b'{"code":"invalid","message":"worse"}', "worse"),
        (b"<html>", "<html>"),
        (b"[1]", "[1]"),
        (b"", ""),
        (b"\xff", "�"),
    ],
)
def test_the_reason_is_found_in_any_answer(answer: bytes, reason: str) -> None:
    assert reason_in(answer) == reason
