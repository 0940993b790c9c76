"""No path and no payload costs more than a bound: what would is refused when it is written, or when it comes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.mapping import MAX_RULES, mapping_from
from caudal.common.domain.payloads.paths import MAX_PATH, all_finder, finder
from caudal.common.domain.payloads.reader import Outcome, Reader
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.common.domain.payloads.work import MOST, bounded_work, values_in

RECEIVED_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
TS = "2026-03-02T10:00:00Z"
ROWS = [{"t": TS, "x": number} for number in range(9_000)]


def read(values: dict[str, Any], payload: Any) -> Outcome:
    return Reader(mapping_from({"time": {"path": "t"}, "values": values})).read(payload, RECEIVED_AT)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$..a..b", "more than once"),
        ("$[*,*,*,*,*][*,*,*,*,*][*,*,*,*,*]", "too often"),
        ("$['a','a','a']['a','a','a']['a','a','a']['a','a','a']['a','a','a']", "too often"),
        ("$[?search(@.t, '(a+)+$')].x", "no JSON path"),
        ("$[?match(@.t, '(a|a)*b')].x", "no JSON path"),
        ("$[?count($[*]) > 1].x", "more than one value"),
        ("$[?@..a == 1].x", "no JSON path"),
        ("$[?@[?@[?@.a]]]", "more than one value"),
        ("$.a[?" + " && ".join(["@.a==1"] * 24) + "]", "too often"),
        ("a." * 200 + "a", f"1 to {MAX_PATH} characters"),
        ("a" * 400, f"1 to {MAX_PATH} characters"),
    ],
)
def test_a_path_that_may_cost_too_much_is_refused_when_it_is_written(path: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        mapping_from({"values": {"flow": {"path": path}}})


@pytest.mark.parametrize(
    "path",
    [
        "$..flow",
        "$.a[?@.n == 'flow'].v",
        "$.a[?@.n == 'flow' && @.ok == true || length(@.n) > 3].v",
        "$['a','b'][*].v[0:10:2]",
        "$.a[?@.n == $.wanted].v",
    ],
)
def test_paths_that_people_write_are_none_of_these(path: str) -> None:
    assert all_finder(path)({}) == []


def test_a_path_into_the_whole_payload_is_looked_up_once_for_all_its_readings() -> None:
    outcome = read({"x": {"path": "$..x"}}, ROWS)
    assert len(outcome.readings) == len(ROWS)
    assert outcome.refused == []


def test_a_payload_that_takes_too_much_is_told_as_such() -> None:
    outcome = read({"x": {}, "deep": {"path": "$..[?@.n == 'x'].v"}}, [{"t": TS, "x": 1, "d": [0] * 250_000}])
    assert outcome.readings == []
    assert [refused.reason for refused in outcome.refused] == ["takes too much looking up for one payload"]


def test_all_queries_of_a_payload_count_together() -> None:
    many = {f"v{number}": {"path": f"$..x{number}"} for number in range(MAX_RULES - 1)}
    outcome = read({"x": {}, **many}, ROWS)
    assert outcome.readings == []
    assert {refused.reason for refused in outcome.refused} == {"takes too much looking up for one payload"}


def test_readings_that_overlap_cannot_multiply_the_work() -> None:
    payload: dict[str, Any] = {"t": TS, "x": 1, "d": [0] * 1_000}
    for _ in range(90):
        payload = {"t": TS, "x": 1, "d": [0] * 1_000, "in": payload}
    mapping = {"readings": "$..[?@.t]", "time": {"path": "t"}, "values": {"x": {}, "y": {"path": "@.d[?@ == 1]"}}}
    outcome = Reader(mapping_from(mapping)).read(payload, RECEIVED_AT)
    assert len(outcome.readings) + len(outcome.refused) == 90
    assert {refused.reason for refused in outcome.refused} == {"takes too much looking up for one payload"}


def test_the_next_payload_may_cost_as_much_again() -> None:
    find = finder("$..x")
    for _ in range(3):
        with bounded_work(100):
            assert find({}, {"x": 1}) == 1
            with pytest.raises(Unreadable):
                find({}, {"d": [0] * 1_000, "x": 1})
    with bounded_work(MOST):
        assert find({}, {"d": [0] * 1_000, "x": 1}) == 1


def test_values_are_counted_to_the_bound_and_no_further() -> None:
    assert values_in({"a": [1, {"b": 2}], "c": None}, 100) == 6
    assert values_in([0] * 1_000, 10) == 10


def test_a_mapping_names_a_bounded_number_of_variables() -> None:
    with pytest.raises(InvalidInput, match="values"):
        mapping_from({"values": {f"v{number}": {} for number in range(MAX_RULES + 1)}})
