"""Layouts of rows: what does not fit one is told by its place, and rows are never shifted."""

from datetime import UTC, datetime
from typing import Any

import pytest

from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import Outcome, Reader

RECEIVED_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
TS = "2026-03-02T10:00:00Z"


def read(mapping: dict[str, Any], payload: Any) -> Outcome:
    return Reader(mapping_from({"values": {"q": {}}} | mapping)).read(payload, RECEIVED_AT)


@pytest.mark.parametrize(
    ("payload", "refused"),
    [
        ({"t": [TS], "q": [1, 2]}, "$: has columns of different lengths: 't' 1, 'q' 2"),
        ([1], "$: a list is no object, as the layout columns has it"),
        ({"t": TS, "q": 1}, "$: holds no list, as the layout columns has them"),
        ({"t": [], "q": []}, "$: is an empty list"),
    ],
)
def test_columns_that_are_none_are_told(payload: Any, refused: str) -> None:
    outcome = read({"layout": "columns", "time": {"path": "t"}}, payload)
    assert outcome.readings == []
    assert [str(error) for error in outcome.refused] == [refused]


def test_series_whose_keys_are_times() -> None:
    mapping = {"form": "series", "layout": "keyed", "time": {"path": "key"}}
    (reading,) = read(mapping, {"q": {TS: 0}, "empty": None}).readings
    assert reading.values == {"q": 0}
    (refused,) = read(mapping, {"q": [1]}).refused
    assert str(refused) == "q: a list is no object, as the layout keyed has it"


def test_rows_that_are_lists_have_places() -> None:
    mapping = {"readings": "rows", "time": {"path": "[0]"}, "values": {"q": {"path": "[1]"}}}
    (reading,) = read(mapping, {"rows": [[TS, "12.5"], ["", 3]]}).readings
    assert reading.values == {"q": 12.5}
