"""Instants, intervals, cursors, cells, merging and names: the small rules of the door."""

import csv
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.attempts import network_of
from caudal.gateway_api.domain.cells import number_cell, text_cell
from caudal.gateway_api.domain.cursors import Cursor, cursor_of
from caudal.gateway_api.domain.intervals import EARLIEST, LATEST, Range, check_interval_count, every, instant, range_of
from caudal.gateway_api.domain.listing import order_of
from caudal.gateway_api.domain.merging import merged, refuse_unprintable
from caudal.gateway_api.domain.permissions import STAFF_ONLY, Caller, Permission, Scope, effective
from caudal.gateway_api.domain.telemetry import WindowRow
from caudal.gateway_api.domain.uploads import format_of, safe_name

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
DAY = timedelta(days=1)
instants = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2199, 1, 1), timezones=st.just(UTC))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


class TestInstants:
    @given(instants, st.integers(-14 * 60, 14 * 60))
    def test_any_zone_is_the_same_instant(self, at: datetime, minutes: int) -> None:
        local = at.astimezone(timezone(timedelta(minutes=minutes)))
        assert instant(local.isoformat(), "from") == at
        assert instant(local.isoformat().replace("+", " "), "from") == at

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "now",
            "2026-03-02",
            "2026-03-02T10:00:00",
            "1772445600",
            "0001-01-01T00:00:00+14:00",
            "2200-01-02T00:00:00Z",
        ],
    )
    def test_what_is_no_instant_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            instant(text, "from")
        assert refused.value.field == "from"

    def test_range_ends_now_and_is_a_day_wide_unless_said(self) -> None:
        assert range_of(None, None, NOW, DAY) == Range(NOW - DAY, NOW)
        assert range_of(NOW - 2 * DAY, None, NOW, DAY) == Range(NOW - 2 * DAY, NOW)
        assert range_of(None, NOW - DAY, NOW, DAY) == Range(NOW - 2 * DAY, NOW - DAY)
        assert range_of(NOW + DAY, None, NOW, DAY) == Range(NOW + DAY, NOW + DAY)
        assert range_of(None, EARLIEST, NOW, DAY) == Range(EARLIEST, EARLIEST)
        with pytest.raises(InvalidInput):
            range_of(NOW, NOW - DAY, NOW, DAY)


class TestEvery:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("1s", 1), ("5m", 300), ("1h", 3600), ("36h", 129_600), ("1d", 86_400), ("52w", 31_449_600)],
    )
    def test_widths(self, text: str, seconds: int) -> None:
        assert every(text).total_seconds() == seconds

    @pytest.mark.parametrize(
        "text", ["", "1", "h", "0h", "01h", "-1h", "1.5h", "1H", "1h ", "1h\n", "99999999s", "367d", "１h"]
    )
    def test_what_is_no_width_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            every(text)

    def test_answers_are_bounded(self) -> None:
        check_interval_count(Range(NOW - 100_000 * timedelta(seconds=1), NOW), timedelta(seconds=1))
        with pytest.raises(InvalidInput, match="100001 intervals"):
            check_interval_count(Range(NOW - 100_001 * timedelta(seconds=1), NOW), timedelta(seconds=1))


class TestNetworks:
    @pytest.mark.parametrize(
        ("address", "network"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:0DB8:1:2::", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("fe80::1%eth0", "fe80::/64"),
            ("not:an:address", "not:an:address"),
            ("", ""),
            (None, ""),
        ],
    )
    def test_addresses_of_one_line_count_as_one(self, address: str | None, network: str) -> None:
        assert network_of(address) == network


class TestCursors:
    @given(instants, st.text("abc:-_0", max_size=40))
    def test_cursor_comes_back_as_it_was(self, at: datetime, entry: str) -> None:
        assert cursor_of(Cursor(at, entry).text()) == Cursor(at, entry)

    @given(st.text(max_size=60))
    def test_anything_else_is_refused_and_nothing_breaks(self, text: str) -> None:
        with suppress(InvalidInput):
            assert EARLIEST <= cursor_of(text).at <= LATEST


class TestCells:
    @pytest.mark.parametrize(
        ("text", "cell"),
        [
            ("plain", "plain"),
            ("=1+1", "'=1+1"),
            ("+1", "+1"),
            ("-5.5e3", "-5.5e3"),
            ("-x", "'-x"),
            ("@sum", "'@sum"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\t1", "'\t1"),
            ("", ""),
        ],
    )
    def test_what_a_spreadsheet_would_run_is_text(self, text: str, cell: str) -> None:
        assert text_cell(text) == cell

    @given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60))
    def test_numbers_read_back_as_they_were(self, value: float) -> None:
        assert type(value)(number_cell(value)) == value

    def test_whole_numbers_have_no_point_and_nothing_is_nothing(self) -> None:
        assert number_cell(5.0) == "5"
        assert number_cell(-0.0) == "0"
        assert number_cell(0.1) == "0.1"
        assert number_cell(12345678901234567890) == "12345678901234567890"
        assert number_cell(None) == number_cell(math.nan) == number_cell(math.inf) == ""

    @given(st.text(max_size=30))
    def test_cell_survives_a_csv_file(self, text: str) -> None:
        sink = StringIO()
        csv.writer(sink).writerow([text_cell(text), "end"])
        (row,) = csv.reader(StringIO(sink.getvalue(), newline=""))
        assert row == [text_cell(text), "end"]


class TestMerging:
    @given(st.dictionaries(st.text(max_size=3), json_values, max_size=4), json_values)
    def test_what_is_not_named_stays(self, current: dict[str, Any], value: Any) -> None:
        result = merged(current, {"named": value})
        assert {name: kept for name, kept in result.items() if name != "named"} == {
            name: kept for name, kept in current.items() if name != "named"
        }

    def test_objects_are_merged_null_removes_the_rest_replaces(self) -> None:
        current = {"a": {"b": 1, "c": 2}, "d": [1], "e": 5}
        assert merged(current, {"a": {"b": None, "x": 3}, "d": [2], "e": None}) == {"a": {"c": 2, "x": 3}, "d": [2]}
        assert merged(current, {"a": {"x": 1}}, whole=("a",))["a"] == {"x": 1}
        assert current == {"a": {"b": 1, "c": 2}, "d": [1], "e": 5}

    @given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
    def test_second_time_changes_nothing(self, patch: dict[str, Any]) -> None:
        once = merged({"a": {"b": 1}}, patch)
        assert merged(once, patch) == once

    @pytest.mark.parametrize(
        ("value", "field"),
        [
            ("\x00", "body"),
            ({"a": {"b": ["x", "\ud800"]}}, "a.b.1"),
            ({"a\x00": 1}, "body"),
            ({"a": {"\udfff": 1}}, "a"),
        ],
    )
    def test_text_that_no_database_keeps_is_named(self, value: Any, field: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            refuse_unprintable(value)
        assert refused.value.field == field

    def test_depth_is_bounded(self) -> None:
        deep: Any = 1
        for _ in range(33):
            deep = [deep]
        with pytest.raises(InvalidInput, match="deep"):
            refuse_unprintable(deep)


class TestNames:
    @given(st.text(max_size=200))
    def test_name_is_always_one_harmless_part_of_a_path(self, name: str) -> None:
        safe = safe_name(name)
        assert 1 <= len(safe) <= 80
        assert safe.isascii()
        assert not set(safe) & set("/\\\x00 ")
        assert safe not in (".", "..")
        assert not safe.startswith((".", "-"))

    @pytest.mark.parametrize(
        ("head", "kind"),
        [(b"PAR1...", "parquet"), (b"ts,id\n", "csv"), (b"\xef\xbb\xbfts;id", "csv"), (b"\xff\xfet\x00", "csv")],
    )
    def test_format_is_known_by_content(self, head: bytes, kind: str) -> None:
        assert format_of(head) == kind

    @pytest.mark.parametrize("head", [b"", b"PK\x03\x04\x00"])
    def test_anything_else_is_refused(self, head: bytes) -> None:
        with pytest.raises(InvalidInput):
            format_of(head)

    def test_order_is_of_known_fields(self) -> None:
        assert order_of(" name,-code ,", ("name", "code")) == ("name", "-code")
        with pytest.raises(InvalidInput, match="--code"):
            order_of("--code", ("name", "code"))


class TestRoles:
    ALL = frozenset(Permission)

    def test_nobody_of_a_client_reaches_beyond_it_whatever_the_role_says(self) -> None:
        assert effective(self.ALL, None) == self.ALL
        assert effective(self.ALL, "andes") == self.ALL - STAFF_ONLY

    def test_nobody_gives_what_they_lack(self) -> None:
        reads = frozenset({Permission.POINTS_READ})
        staff = Caller(user="1", email="a@b", role="reader", permissions=reads)
        tenant = Caller(user="2", email="c@d", role="x", client="andes", permissions=self.ALL - STAFF_ONLY)
        assert staff.may_grant(reads, "andes")
        assert not staff.may_grant({Permission.POINTS_WRITE}, "andes")
        assert tenant.may_grant(self.ALL, "andes")
        assert not tenant.may_grant(reads, None)
        assert not tenant.may_grant(reads, "costa")

    def test_scope_of_a_client_is_that_client_and_nobodys_things_are_the_staffs(self) -> None:
        assert [Scope("andes").sees(client) for client in ("andes", "costa", None)] == [True, False, False]
        assert all(Scope(None).sees(client) for client in ("andes", None))


class TestWindowRows:
    def test_processed_value_stands_for_what_was_given_even_when_there_is_none(self) -> None:
        fields: dict[str, Any] = {"measured_at": NOW, "unit": "u", "source_format": "csv"}
        row = WindowRow(
            **fields, given={"total": 7, "x": 1}, processed={"total": {"value": None}, "flow": {"value": 2.0}}
        )
        assert row.cells() == {"total": None, "x": 1, "flow": 2.0}
        assert WindowRow(**fields, given={"total": 7}, processed=None).cells() == {"total": 7}
