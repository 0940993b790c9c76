"""What the demo says of the platform."""

from dataclasses import replace

from caudal.cli.domain.outcome import Outcome
from caudal.cli.domain.transmissions import Journey

JOURNEY = Journey((), readings=100, duplicates=5, out_of_order=5, late=24, unreadable=3)
GOOD = Outcome(
    readings_sent=100,
    readings_stored=100,
    volume_m3=12.34,
    expected_volume_m3=12.349,
    resets=1,
    glitches=1,
    duplicates=5,
    late=29,
    rejected=3,
    flags={"GLITCH": 1},
    seconds=1.5,
)


def test_a_volume_within_one_pulse_and_the_right_counts_are_good() -> None:
    assert GOOD.shortcomings(JOURNEY) == []


def test_a_volume_beyond_one_pulse_is_told() -> None:
    (words,) = replace(GOOD, volume_m3=12.33).shortcomings(JOURNEY)
    assert words == "the volume is off by 0.019 m³, more than one pulse (0.01 m³)"


def test_each_wrong_count_is_told_with_what_it_should_be() -> None:
    wrong = replace(GOOD, readings_stored=99, resets=0, glitches=2, duplicates=4, rejected=2)
    assert wrong.shortcomings(JOURNEY) == [
        "readings stored: 99 instead of 100",
        "resets of the counter: 0 instead of 1",
        "glitches: 2 instead of 1",
        "duplicates: 4 instead of 5",
        "rejected payloads: 2 instead of 3",
    ]


def test_the_json_has_these_fields_in_this_order() -> None:
    assert list(GOOD.as_dict()) == [
        "readings_sent",
        "readings_stored",
        "volume_m3",
        "expected_volume_m3",
        "resets",
        "glitches",
        "duplicates",
        "late",
        "rejected",
        "flags",
        "seconds",
    ]
