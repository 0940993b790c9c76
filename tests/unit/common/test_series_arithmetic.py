"""The arithmetic on which all telemetry stores agree."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.series import (
    END_OF_TIME,
    FIRST_INSTANT,
    Track,
    archived_before,
    checked_instant,
    checked_interval,
    contested,
    increases,
    instant,
    micros,
    overlaid,
    runs,
    slot,
)

times = st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31), timezones=st.just(UTC))


@given(at=times)
def test_an_instant_survives_the_way_to_microseconds_and_back(at: datetime) -> None:
    assert instant(micros(at)) == at


@given(at=times, every=st.integers(1, 10**13))
def test_a_slot_holds_its_instant_and_is_aligned_to_the_epoch(at: datetime, every: int) -> None:
    start = slot(micros(at), every)
    assert start <= micros(at) < start + every
    assert start % every == 0


def test_rows_go_to_the_archive_an_hour_before_the_retention_ends() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert archived_before(now, timedelta(days=90)) == now - timedelta(days=90) + timedelta(hours=1)


def test_questions_are_brought_into_the_time_that_stores_know() -> None:
    assert checked_instant(datetime.min.replace(tzinfo=UTC), "start") == micros(FIRST_INSTANT)
    assert checked_instant(datetime.max.replace(tzinfo=UTC), "end") == micros(END_OF_TIME)
    with pytest.raises(InvalidInput, match="start"):
        checked_instant(datetime(2026, 1, 1), "start")


def test_intervals_of_no_length_are_refused() -> None:
    assert checked_interval(timedelta(microseconds=1)) == 1
    for every in (timedelta(0), timedelta(seconds=-1), timedelta(days=36_526)):
        with pytest.raises(InvalidInput, match="every"):
            checked_interval(every)


def test_later_tracks_go_over_earlier_ones_by_variable() -> None:
    main = Track([1, 2, 3], {"a": [1.0, 2.0, None], "b": [None, 5.0, 6.0]})
    archive = Track([2, 4], {"a": [9.0, 8.0], "b": [None, None]})
    assert overlaid([main, archive], ["a", "b"], 99) == Track(
        [1, 2, 3, 4], {"a": [1.0, 9.0, None, 8.0], "b": [None, 5.0, 6.0, None]}
    )


@given(
    held=st.lists(st.dictionaries(st.integers(0, 30), st.floats(0, 9), max_size=12), max_size=4),
    limit=st.integers(1, 8),
)
def test_tracks_cut_off_at_the_limit_still_give_the_first_instants(held: list[dict[int, float]], limit: int) -> None:
    def track(values: dict[int, float], cut: int) -> Track:
        kept = sorted(values)[:cut]
        return Track(kept, {"a": [values[time] for time in kept]}, whole=len(kept) < cut)

    whole = overlaid([track(values, 99) for values in held], ["a"], 99)
    found = overlaid([track(values, limit) for values in held], ["a"], limit)
    assert found.times == whole.times[:limit]
    assert found.columns["a"] == whole.columns["a"][:limit]
    assert not found.whole or found.times == whole.times


def test_only_times_with_two_values_of_one_variable_are_contested() -> None:
    one = Track([1, 2, 3], {"a": [1.0, 1.0, None], "b": [None, 1.0, 1.0]})
    other = Track([2, 3, 4], {"a": [1.0, 1.0, 1.0], "b": [None, None, None]})
    assert contested([one, other]) == {2}
    assert contested([one]) == set()


def test_intervals_that_touch_are_joined() -> None:
    assert runs([10, 0, 5, 30], 5) == [(0, 15), (30, 35)]
    assert runs([], 5) == []


def test_increases_reach_over_gaps() -> None:
    assert increases([12.0, None, 15.0, 3.0], 10.0) == [2.0, None, 3.0, -12.0]
    assert increases([None, 5.0], 5.0) == [None, 0.0]
