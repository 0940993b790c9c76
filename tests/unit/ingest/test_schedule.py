"""When a point's turn comes, and from where on it is asked for."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from caudal.ingest.domain.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WISH, Breaker
from caudal.ingest.domain.schedule import (
    LONGEST_BACK_OFF,
    PointState,
    Reach,
    back_off,
    is_due,
    next_slot,
    stretches,
)

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ASKED = PointState(point="well-1", provider="acme", asked_at=NOW)
CODES = st.text("abcdefgh-0123456789", min_size=1, max_size=12)


@given(CODES, st.integers(1, 1440), st.integers(0, 10**6))
def test_a_points_turn_comes_once_in_every_interval(point: str, minutes: int, later: int) -> None:
    sampling, after = timedelta(minutes=minutes), NOW + timedelta(seconds=later)
    slot = next_slot(point, sampling, after)
    assert after < slot <= after + sampling
    assert next_slot(point, sampling, slot) == slot + sampling


def test_points_of_one_frequency_have_their_turns_apart() -> None:
    minutes = {next_slot(f"well-{number}", HOUR, NOW).minute for number in range(500)}
    assert len(minutes) > 50


def test_a_point_is_due_at_first_then_at_its_turn() -> None:
    assert is_due("well-1", HOUR, None, NOW)
    turn = next_slot("well-1", HOUR, NOW)
    assert not is_due("well-1", HOUR, ASKED, turn - MINUTE)
    assert is_due("well-1", HOUR, ASKED, turn)


def test_a_point_with_more_to_fetch_is_due_at_once() -> None:
    assert is_due("well-1", HOUR, msgspec.structs.replace(ASKED, is_behind=True), NOW + MINUTE)


def test_a_clock_that_was_wrong_once_keeps_no_point_waiting() -> None:
    assert is_due("well-1", HOUR, msgspec.structs.replace(ASKED, asked_at=NOW + 1000 * HOUR), NOW)


@given(CODES, st.integers(1, 1000))
def test_back_off_grows_and_ends_somewhere(point: str, failures: int) -> None:
    pause = back_off(point, failures)
    assert timedelta(minutes=1) <= pause <= LONGEST_BACK_OFF
    assert back_off(point, failures + 1) >= pause
    failed = PointState(point=point, provider="acme", asked_at=NOW, failures=failures)
    assert is_due(point, 24 * HOUR, failed, NOW + pause)
    assert not is_due(point, MINUTE, failed, NOW + pause - timedelta(seconds=1))


def test_variables_of_like_age_are_asked_for_together_and_a_silent_one_by_itself() -> None:
    names = {"flow": "q", "level": "n", "total": "v"}
    cursors = {"flow": NOW - 10 * MINUTE, "level": NOW - 30 * MINUTE, "total": NOW - 1000 * HOUR}
    assert stretches(names, cursors, NOW, Reach(24 * HOUR, HOUR)) == [
        (NOW - 1001 * HOUR, {"total": "v"}),
        (NOW - 90 * MINUTE, {"level": "n", "flow": "q"}),
    ]


def test_a_new_variable_is_asked_for_from_a_day_ago_on() -> None:
    assert stretches({"flow": "q"}, {}, NOW, Reach(24 * HOUR, HOUR)) == [(NOW - 24 * HOUR, {"flow": "q"})]


def test_a_cursor_in_the_future_is_taken_back_to_now() -> None:
    assert stretches({"flow": "q"}, {"flow": NOW + HOUR}, NOW, Reach(HOUR, MINUTE)) == [(NOW - MINUTE, {"flow": "q"})]


def test_breaker_opens_after_failures_in_a_row_and_an_answer_closes_it() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker = breaker.failed(NOW)
    assert breaker.allows(NOW)
    breaker = breaker.failed(NOW)
    assert not breaker.allows(NOW + FIRST_PAUSE - MINUTE / 2)
    assert breaker.allows(NOW + FIRST_PAUSE)
    assert breaker.is_probing()
    assert breaker.answered() == Breaker()


def test_many_failures_at_once_open_it_once() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker = breaker.failed(NOW)
    assert breaker.open_until == NOW + FIRST_PAUSE


def test_each_failed_probe_doubles_the_pause_up_to_its_longest() -> None:
    breaker, now = Breaker(FAILURES), NOW
    pauses = []
    for _ in range(12):
        breaker = breaker.failed(now)
        assert breaker.open_until is not None
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
    assert pauses[:4] == [FIRST_PAUSE * 2**number for number in range(4)]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_provider_that_asks_to_be_left_alone_is() -> None:
    breaker = Breaker().failed(NOW, retry_after_s=90)
    assert not breaker.allows(NOW + timedelta(seconds=89))
    assert breaker.allows(NOW + timedelta(seconds=90))
    assert not breaker.is_probing()
    assert Breaker().failed(NOW, retry_after_s=7200).open_until == NOW + 2 * HOUR
    assert Breaker().failed(NOW, retry_after_s=1e9).open_until == NOW + LONGEST_WISH
