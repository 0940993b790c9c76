"""Versions of a point's configuration: what a change from some time on makes of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.catalog import Point, Variable, VariableType
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.timeline import (
    MAX_VERSIONS,
    Past,
    changed_from,
    changed_version,
    past_that_differs,
    versions_of,
    without_version,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
POINT = Point(code="p", device="d", variables=(Variable(code="flow", type=VariableType.FLOW, scale=1.0),))


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def scaled(scale: float) -> Callable[[Point], Point]:
    return lambda point: replace(point, variables=tuple(replace(each, scale=scale) for each in point.variables))


def named(name: str) -> Callable[[Point], Point]:
    return lambda point: replace(point, name=name, variables=tuple(replace(v, name=name) for v in point.variables))


def told(point: Point) -> list[tuple[datetime | None, float]]:
    return [(version.valid_from, version.variables[0].scale) for version in versions_of(point)]


def test_a_change_from_now_on_leaves_what_was() -> None:
    after = changed_from(POINT, day(1), scaled(2))
    assert told(after) == [(None, 1), (day(1), 2)]
    assert versions_of(after)[0].valid_until == day(1)
    assert past_that_differs(POINT, after) == Past(day(1), None)


def test_a_change_since_ever_corrects_every_version() -> None:
    after = changed_from(changed_from(POINT, day(1), scaled(2)), None, scaled(3))
    assert told(after) == [(None, 3)]


def test_a_change_within_the_past_splits_a_version_and_holds_for_the_later_ones() -> None:
    point = changed_from(changed_from(POINT, day(2), scaled(2)), day(4), scaled(4))
    assert told(changed_from(point, day(1), named("x"))) == told(point)
    after = changed_from(point, day(3), lambda at: replace(at, sampling_minutes=5))
    assert [(v.valid_from, v.variables[0].scale, v.sampling_minutes) for v in versions_of(after)] == [
        (None, 1, 60),
        (day(2), 2, 60),
        (day(3), 2, 5),
        (day(4), 4, 5),
    ]


def test_names_are_no_reason_for_a_version_or_a_fold() -> None:
    after = changed_from(POINT, day(1), named("Pozo"))
    assert (after.name, after.earlier, past_that_differs(POINT, after)) == ("Pozo", (), None)


def test_a_version_is_corrected_by_itself_and_can_be_moved_between_its_neighbours() -> None:
    point = changed_from(changed_from(POINT, day(2), scaled(2)), day(4), scaled(4))
    after = changed_version(point, day(2), day(3), scaled(5))
    assert told(after) == [(None, 1), (day(3), 5), (day(4), 4)]
    assert past_that_differs(point, after) == Past(day(2), day(4))
    for moved_to in (None, day(4), day(5)):
        with pytest.raises(InvalidInput):
            changed_version(point, day(2), moved_to, scaled(5))
    with pytest.raises(InvalidInput):
        changed_version(point, None, day(1), scaled(5))
    with pytest.raises(NotFound):
        changed_version(point, day(1), day(1), scaled(5))


def test_a_version_that_is_removed_leaves_its_time_to_the_one_before() -> None:
    point = changed_from(changed_from(POINT, day(2), scaled(2)), day(4), scaled(4))
    assert told(without_version(point, day(2))) == [(None, 1), (day(4), 4)]
    assert told(without_version(point, day(4))) == [(None, 1), (day(2), 2)]
    assert told(without_version(point, None)) == [(None, 2), (day(4), 4)]
    with pytest.raises(Conflict):
        without_version(POINT, None)


def test_versions_are_bounded() -> None:
    point = POINT
    for number in range(1, MAX_VERSIONS):
        point = changed_from(point, day(number), scaled(number + 1))
    assert len(versions_of(point)) == MAX_VERSIONS
    with pytest.raises(Conflict, match="remove"):
        changed_from(point, day(MAX_VERSIONS), scaled(0.5))


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 9)), st.sampled_from([1.0, 2.0, 3.0])), max_size=8))
def test_what_holds_at_any_time_is_the_last_change_that_reached_it(changes: list[tuple[int | None, float]]) -> None:
    point, expected = POINT, dict.fromkeys(range(-1, 10), 1.0)
    for since, scale in changes:
        before = point
        point = changed_from(point, None if since is None else day(since), scaled(scale))
        reached = {at for at in expected if since is None or at >= since}
        differing = {at for at in reached if expected[at] != scale}
        expected |= dict.fromkeys(reached, scale)
        past = past_that_differs(before, point)
        covered = {
            at
            for at in expected
            if past and (past.start is None or day(at) >= past.start) and (past.end is None or day(at) < past.end)
        }
        assert differing <= covered
        assert bool(past) == bool(differing)
    for at, scale in expected.items():
        found = [v for v in versions_of(point) if v.valid_from is None or v.valid_from <= day(at)]
        assert found[-1].variables[0].scale == scale
    ends = [version.valid_until for version in point.earlier]
    assert ends == sorted(set(ends))
