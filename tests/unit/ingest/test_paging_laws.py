"""Paging loses nothing and doubles nothing, whatever an API cuts off, and wherever."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.ingest.domain.paging import LEAST_CUT, MAX_ROWS, Ask, RemoteRow, Spans, Strand, TooDense, Walk

BASE = datetime(2026, 3, 2, tzinfo=UTC)
MICRO = timedelta(microseconds=1)

rows = st.builds(
    lambda variable, at, value: RemoteRow(variable, BASE + at * MICRO, value, None),
    st.sampled_from("ab"),
    # few instants, so that many share one; some a microsecond apart, some on the border of a millisecond
    st.sampled_from([0, 1, 500, 999, 1000, 1001, 2000, 3500, 60_000_000, 60_000_001, 3_600_000_000, 9_999_999_999]),
    st.integers(0, 9),
)


class Api:
    """Answers as APIs do: so many rows of each strand, from one end."""

    def __init__(
        self, rows: list[RemoteRow], *, newest_first: bool, takes_in: tuple[bool, bool], most: int, is_joint: bool
    ) -> None:
        self.rows = sorted(rows, key=lambda row: row.measured_at, reverse=newest_first)
        self.takes_in, self.most = takes_in, most
        self.strands = [("a", "b")] if is_joint else [("a",), ("b",)]
        self.asked = 0

    def answer(self, ask: Ask) -> list[Strand]:
        """What it gives for a question whose bounds it reads in milliseconds."""
        self.asked += 1
        start, end = (at - timedelta(microseconds=at.microsecond % 1000) for at in (ask.start, ask.end))
        inside = [row for row in self.rows if self._is_inside(row.measured_at, start, end)]
        found = [
            [row for row in inside if row.variable in variables][: min(ask.limit, self.most)]
            for variables in self.strands
        ]
        return [Strand(strand, len(strand)) for strand in found]

    def _is_inside(self, at: datetime, start: datetime, end: datetime) -> bool:
        takes_start, takes_end = self.takes_in
        return (start < at < end) or (takes_start and at == start) or (takes_end and at == end)


def walk(api: Api, start: datetime, end: datetime, limit: int, newest_first: bool) -> list[RemoteRow]:
    """Everything that the API has in between."""
    walking = Walk(start, end, limit, newest_first=newest_first)
    while walking.ask is not None:
        walking.take(api.answer(walking.ask))
    return walking.rows()


@settings(max_examples=400, deadline=None)
@given(
    rows=st.lists(rows, max_size=60),
    limit=st.integers(1, 20),
    start=st.sampled_from([0, 1, 999, 1000, 60_000_000]),
    end=st.sampled_from([1, 1000, 2000, 60_000_001, 3_600_000_000, 10_000_000_000]),
    newest_first=st.booleans(),
    takes_in=st.tuples(st.booleans(), st.booleans()),
    is_joint=st.booleans(),
)
def test_a_walk_gives_every_row_once_whatever_the_page_and_the_ties(
    rows: list[RemoteRow],
    limit: int,
    start: int,
    end: int,
    newest_first: bool,
    takes_in: tuple[bool, bool],
    is_joint: bool,
) -> None:
    api = Api(rows, newest_first=newest_first, takes_in=takes_in, most=10_000, is_joint=is_joint)
    first, last = BASE + start * MICRO, BASE + end * MICRO
    found = walk(api, first, last, limit, newest_first)
    keys = [(row.variable, row.measured_at, row.value) for row in found]
    expected = {(row.variable, row.measured_at, row.value) for row in rows if first <= row.measured_at < last}
    assert set(keys) == expected
    assert len(keys) == len(expected)
    assert [row.measured_at for row in found] == sorted(row.measured_at for row in found)
    assert api.asked <= 2 * len(rows) + 8


@settings(max_examples=30, deadline=None)
@given(
    seconds=st.lists(st.integers(0, 3000), unique=True, min_size=101, max_size=300),
    most=st.integers(LEAST_CUT, 100),
    newest_first=st.booleans(),
)
def test_an_api_that_gives_less_than_it_is_asked_for_loses_nothing(
    seconds: list[int], most: int, newest_first: bool
) -> None:
    rows = [RemoteRow("a", BASE + timedelta(seconds=second), second, None) for second in seconds]
    api = Api(rows, newest_first=newest_first, takes_in=(True, True), most=most, is_joint=True)
    found = walk(api, BASE, BASE + timedelta(days=1), 500, newest_first)
    assert [row.value for row in found] == sorted(seconds)


class Deaf(Api):
    """Gives its newest or oldest rows, whatever times are asked for."""

    def answer(self, ask: Ask) -> list[Strand]:
        self.asked += 1
        return [Strand(self.rows[: ask.limit], min(len(self.rows), ask.limit))]


@pytest.mark.parametrize("newest_first", [True, False])
def test_an_api_that_heeds_no_times_is_given_up(newest_first: bool) -> None:
    rows = [RemoteRow("a", BASE + timedelta(seconds=second), second, None) for second in range(20_000)]
    api = Deaf(rows, newest_first=newest_first, takes_in=(True, True), most=10_000, is_joint=True)
    with pytest.raises(TooDense):
        walk(api, BASE, BASE + timedelta(days=1), 100, newest_first)
    assert api.asked < 50


def test_a_stretch_that_holds_too_much_is_told() -> None:
    rows = [RemoteRow("a", BASE + timedelta(milliseconds=n), n, None) for n in range(MAX_ROWS + 10)]
    api = Api(rows, newest_first=True, takes_in=(True, True), most=10_000, is_joint=True)
    with pytest.raises(TooDense):
        walk(api, BASE, BASE + timedelta(days=1), 5_000, True)


@given(
    minutes=st.integers(1, 500_000),
    length=st.floats(1, 50_000),
    counts=st.lists(st.integers(0, 5000), min_size=1),
    cuts=st.sets(st.integers(0, 30)),
)
def test_spans_follow_one_another_without_a_gap_to_the_end(
    minutes: int, length: float, counts: list[int], cuts: set[int]
) -> None:
    end = BASE + timedelta(minutes=minutes)
    spans = Spans(BASE, end, timedelta(minutes=length), 500)
    known, turn = BASE, 0
    while not spans.is_over() and turn < 400:
        assert spans.start == known
        assert known < spans.end <= end
        if turn not in cuts or not spans.shorten():
            assert spans.start == known < spans.end
            known = spans.end
            spans.advance(counts[turn % len(counts)])
        turn += 1
    assert known == end or turn == 400


def test_spans_grow_where_nothing_is_and_shrink_where_much_is() -> None:
    def questions(rows: Callable[[], int]) -> int:
        spans, turns = Spans(BASE, BASE + timedelta(days=365), timedelta(days=1), 500), 0
        while not spans.is_over():
            spans.advance(rows())
            turns += 1
        return turns

    assert questions(lambda: 0) < 20
    assert questions(lambda: 1000) == 365
    assert questions(lambda: 5000) > 365
