"""Plans of imports: what rows say, and that doing it twice is doing it once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.import_maps import ImportMap, history_options, map_from
from caudal.gateway_api.domain.import_fields import FIELDS, HEADERS, ImportKind, field_kind, folded, nested, words_of
from caudal.gateway_api.domain.import_points import PointPlanner
from caudal.gateway_api.domain.import_rows import Row, Sheet, columns_of, given_rows
from caudal.gateway_api.domain.imported_points import point_with
from caudal.gateway_api.domain.imports import Ground, Outcome, Step
from caudal.gateway_api.domain.permissions import EVERYWHERE, Scope

CLIENTS = ("acme", "other")
ids = st.sampled_from(["a", "b", "c", "d"])
cells = st.fixed_dictionaries(
    {"code": ids},
    optional={
        "device": ids,
        "nombre": st.one_of(st.just(""), st.sampled_from(["=1+1", "'=1+1", " Pozo ", "Ñuble", "7"])),
        "tipo": st.sampled_from(["pozo", "RIVER", "Río", "", "volcán"]),
        "lat": st.sampled_from(["", "-33,5", "-33,25", "91", "x"]),
        "lon": st.sampled_from(["", "-70,5", "0"]),
        "cliente": st.sampled_from(["", "acme", "other", "nobody"]),
        "estado": st.sampled_from(["", "activo", "OFFLINE", "ERROR"]),
        "sampling_minutes": st.sampled_from(["", "5", "0", "60"]),
        "variables": st.sampled_from(
            ["", '[{"code": "flow", "type": "flow"}]', '[{"code": "flow", "scale": 2}]', "[1]"]
        ),
    },
)
tables = st.lists(cells, max_size=8)


def planned(rows: list[dict[str, Any]], points: dict[str, Point], scope: Scope = EVERYWHERE) -> list[Step]:
    """The plan of these rows upon these points."""
    headers = list(dict.fromkeys(name for row in rows for name in row))
    sheet = Sheet(headers, [Row(number, row) for number, row in enumerate(rows, 2)])
    columns = columns_of(ImportKind.POINTS, headers, ImportMap())
    said = given_rows(ImportKind.POINTS, sheet, ImportMap(decimal=","), columns)
    seen = {code: point for code, point in points.items() if scope.sees(point.client)}
    ground = Ground(
        points=seen,
        foreign=points.keys() - seen.keys(),
        devices={point.device: code for code, point in points.items()},
        clients=frozenset(CLIENTS),
    )
    return PointPlanner(ground, scope, of_variables=False).plan(said)


def carried_out(steps: list[Step], points: dict[str, Point]) -> dict[str, Point]:
    """The points after a plan."""
    after = dict(points)
    for step in steps:
        if step.outcome in (Outcome.CREATE, Outcome.CHANGE):
            after[step.of] = point_with(after.get(step.of), step.said)
    return after


@given(tables, tables)
def test_twice_is_once(before: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    there = carried_out(planned(before, {}), {})
    steps = planned(rows, there)
    after = carried_out(steps, there)
    again = planned(rows, after)
    assert not [step for step in again if step.outcome is Outcome.CREATE]
    assert carried_out(again, carried_out(planned(rows, after), after)) == carried_out(again, after)
    if all(step.outcome is not Outcome.REFUSED for step in steps):
        assert {step.outcome for step in again} <= {Outcome.UNCHANGED}
        assert after == carried_out(again, after)


@given(tables)
def test_each_row_has_one_step_and_devices_stay_unique(rows: list[dict[str, Any]]) -> None:
    steps = planned(rows, {})
    assert [step.row for step in steps] == [*range(2, len(rows) + 2)]
    devices = [point.device for point in carried_out(steps, {}).values()]
    assert len(set(devices)) == len(devices)
    assert all(step.field and step.reason for step in steps if step.outcome is Outcome.REFUSED)


@given(tables, tables)
def test_a_client_makes_and_touches_its_own_alone(before: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    there = carried_out(planned(before, {}), {})
    after = carried_out(planned(rows, there, Scope("acme")), there)
    assert {code: after[code] for code, point in there.items() if point.client != "acme"} == {
        code: point for code, point in there.items() if point.client != "acme"
    }
    # What says of no client becomes the caller's where it is carried out.
    assert {point.client for code, point in after.items() if point != there.get(code)} <= {"acme", None}


def test_every_guessed_header_is_a_field_and_means_one() -> None:
    for kind, names in HEADERS.items():
        assert names.keys() <= FIELDS[kind].keys()
        words = [word for text in names.values() for word in text.split()]
        assert sorted(set(words)) == sorted(words)
        assert all(folded(word) == word for word in words)


def test_our_own_words_are_understood_in_any_case() -> None:
    assert words_of(ImportKind.VARIABLES, "type")[folded("pH")] == "ph"
    assert words_of(ImportKind.POINTS, "type")[folded("Well")] == "WELL"


def test_keys_of_a_source_may_hold_dots() -> None:
    assert field_kind(ImportKind.POINTS, "source.keys.a.b")
    assert nested({"source.keys.flow": "q", "source.remote_id": "r"}) == {
        "source": {"remote_id": "r", "keys": {"flow": "q"}}
    }


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"columns": {"point": "a", "device": "b"}}, "map.columns.device"),
        ({"constants": {"client": "acme"}}, "map.constants.client"),
        ({"values": {"flow": {"a": 1}}}, "map.values"),
    ],
)
def test_mapping_of_history_says_only_what_windows_know(said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        history_options(map_from(said))
    assert error.value.field == field
