"""What a meter sends on its way to the platform."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from caudal.cli.domain.meter import CounterReading
from caudal.cli.domain.transmissions import UNREADABLE, Journey, journey, uplink, with_single_zero
from caudal.common.bus.codec import decode
from caudal.common.domain.errors import InvalidInput

START = datetime(2026, 1, 1, tzinfo=UTC)
READINGS = [CounterReading(START + timedelta(hours=i), 1000 + i, 10.0 + i) for i in range(1000)]


class Uplink(msgspec.Struct):
    """The words of the `caudal` mapping."""

    measured_at: datetime
    values: dict[str, float]


def sent(made: Journey) -> list[datetime]:
    """Times of the readable messages, in the order in which they are sent."""
    return [decode(t.payload, Uplink).measured_at for t in made.transmissions if t.payload not in UNREADABLE]


def test_no_reading_is_left_out_and_one_in_twenty_comes_twice() -> None:
    made = journey(READINGS, seed=1)
    times = Counter(sent(made))
    assert set(times) == {reading.at for reading in READINGS}
    assert Counter(times.values()) == {1: 950, 2: 50}
    assert made.duplicates == 50


def test_one_whole_day_comes_a_day_late_and_one_in_twenty_is_overtaken() -> None:
    made = journey(READINGS, seed=1)
    delay = {
        decode(t.payload, Uplink).measured_at: t.sent_at
        for t in reversed(made.transmissions)
        if t.payload not in UNREADABLE
    }
    late = [at for at, sent_at in delay.items() if sent_at - at == timedelta(days=1)]
    overtaken = [at for at, sent_at in delay.items() if timedelta() < sent_at - at < timedelta(days=1)]
    assert made.late == len(late) == 24
    assert len({at.date() for at in late}) == 1
    assert made.out_of_order == len(overtaken) == 50


def test_messages_leave_in_the_order_of_their_sending_which_is_not_that_of_measuring() -> None:
    made = journey(READINGS, seed=1)
    assert list(made.transmissions) == sorted(made.transmissions, key=lambda t: t.sent_at)
    assert sent(made) != sorted(sent(made))


def test_three_payloads_are_unreadable() -> None:
    made = journey(READINGS, seed=1)
    unreadable = [t.payload for t in made.transmissions if t.payload in UNREADABLE]
    assert sorted(unreadable) == sorted(UNREADABLE)
    for payload in unreadable:
        with pytest.raises(InvalidInput):
            decode(payload, Uplink)


def test_the_same_seed_makes_the_same_journey() -> None:
    assert journey(READINGS, seed=5) == journey(READINGS, seed=5)
    assert journey(READINGS, seed=5) != journey(READINGS, seed=6)


def test_a_single_zero_changes_one_reading_only() -> None:
    zeroed = with_single_zero(READINGS, 7)
    assert zeroed[7].pulses == 0
    assert [r for i, r in enumerate(zeroed) if i != 7] == [r for i, r in enumerate(READINGS) if i != 7]


def test_an_uplink_says_when_and_what() -> None:
    assert uplink(READINGS[0]) == b'{"measured_at":"2026-01-01T00:00:00Z","values":{"total":1000,"flow":10.0}}'
