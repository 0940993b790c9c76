"""What a meter's readings go through on their way: the order, the repeats and the rubbish in which they arrive.

Deterministic for a seed, and no reading is ever left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from caudal.cli.domain.meter import CounterReading
from caudal.common.bus.codec import encode

UNREADABLE = (
    b'{"measured_at": "2022-04-02T10:00:00Z", "values": {"total": 18',
    b'{"measured_at": "yesterday at noon", "values": {"total": 184230}}',
    b"\x81\xa5total\xff\xfe\x00\x9c\xc1",
)
"""Payloads that no mapping can read: cut off, a time that is none, line noise."""


@dataclass(frozen=True, slots=True)
class Transmission:
    """One message of the meter."""

    sent_at: datetime
    """When it leaves, in the meter's own time; the order is what counts."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Journey:
    """All messages of a meter in the order in which they are sent, and what was done to them."""

    transmissions: tuple[Transmission, ...]
    readings: int
    """Different readings among them."""
    duplicates: int
    out_of_order: int
    late: int
    """Readings of the day that came a day late."""
    unreadable: int


def with_single_zero(readings: Sequence[CounterReading], index: int) -> list[CounterReading]:
    """The same readings, but for one at which the counter shows 0 and means nothing by it."""
    return [replace(reading, pulses=0) if i == index else reading for i, reading in enumerate(readings)]


def uplink(reading: CounterReading) -> bytes:
    """A reading in the words of the `caudal` mapping."""
    return encode({"measured_at": reading.at, "values": {"total": reading.pulses, "flow": reading.flow_lps}})


def journey(readings: Sequence[CounterReading], seed: int, share: float = 0.05) -> Journey:
    """Send `readings` as real meters do.

    One whole day comes a day late; `share` of the others is overtaken by one to five later readings; `share` of all
    comes twice, up to half a day apart; three payloads are unreadable.
    """
    random = Random(seed)
    late_day = readings[random.randrange(len(readings) // 4, len(readings) // 2)].at.astimezone(UTC).date()
    late = [i for i, reading in enumerate(readings) if reading.at.astimezone(UTC).date() == late_day]
    count = round(share * len(readings))
    overtaken = random.sample(sorted(set(range(len(readings) - 6)) - set(late)), count)
    delays = dict.fromkeys(late, timedelta(days=1)) | {
        i: readings[i + random.randint(1, 5)].at - readings[i].at + timedelta(minutes=1) for i in overtaken
    }
    sent = [Transmission(r.at + delays.get(i, timedelta()), uplink(r)) for i, r in enumerate(readings)]
    repeats = [
        replace(original, sent_at=original.sent_at + timedelta(minutes=random.randint(0, 720)))
        for original in random.sample(sent, count)
    ]
    rubbish = [Transmission(random.choice(sent).sent_at, payload) for payload in UNREADABLE]
    in_order = sorted([*sent, *repeats, *rubbish], key=lambda transmission: transmission.sent_at)
    return Journey(tuple(in_order), len(readings), count, count, len(late), len(rubbish))
