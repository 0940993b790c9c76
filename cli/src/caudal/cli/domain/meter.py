"""A water meter that gives pulses, fed with a real flow: pure, exact, without a clock.

A reading of the flow holds until the next one. Both the meter and the volume that it is checked against follow that
one rule, but only the meter counts pulses: it gives a pulse when a whole one is full and keeps the rest.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from caudal.common.domain.catalog import PulseMeter
from caudal.common.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class FlowReading:
    """Flow at an instant."""

    at: datetime
    flow_lps: Decimal


@dataclass(frozen=True, slots=True)
class CounterReading:
    """What the meter shows at an instant."""

    at: datetime
    pulses: int
    flow_lps: float


def read_flows(text: str) -> list[FlowReading]:
    """The flow readings of a CSV with a heading line: time with zone, flow in l/s; strictly in order of time.

    Raises:
        InvalidInput: a line cannot be read, or does not come after the one before it.
    """
    flows: list[FlowReading] = []
    for number, row in enumerate(csv.reader(text.splitlines()[1:]), start=2):
        try:
            reading = FlowReading(datetime.fromisoformat(row[0]), Decimal(row[1]))
        except (IndexError, ValueError, ArithmeticError) as error:
            raise InvalidInput(f"line {number}", f"is no time and flow: {','.join(row)[:80]!r}") from error
        if reading.at.tzinfo is None:
            raise InvalidInput(f"line {number}", f"time without a zone: {row[0]!r}")
        if flows and reading.at <= flows[-1].at:
            raise InvalidInput(f"line {number}", f"{row[0]} does not come after the line before it")
        flows.append(reading)
    return flows


def days_until(flows: Sequence[FlowReading], now: datetime) -> int:
    """The most whole days by which `flows` can be moved without any of them lying ahead of `now`."""
    return (now - flows[-1].at) // timedelta(days=1)


def moved(flows: Sequence[FlowReading], days: int) -> list[FlowReading]:
    """The same flow, each instant later by `days` times 24 hours."""
    return [replace(reading, at=reading.at + timedelta(days=days)) for reading in flows]


def volume_m3(flows: Sequence[FlowReading]) -> Decimal:
    """Volume from the first to the last reading, integrated without counting pulses."""
    litres = (earlier.flow_lps * _seconds(earlier, later) for earlier, later in pairwise(flows))
    return sum(litres, start=Decimal(0)) / 1000


def counted(
    flows: Sequence[FlowReading], meter: PulseMeter, starts_at: int = 0, power_loss_after: int | None = None
) -> list[CounterReading]:
    """What `meter` shows at each instant of `flows`.

    Args:
        flows: Two or more readings, in order of time.
        meter: Its constants.
        starts_at: Pulses it shows at the first reading.
        power_loss_after: Index of the reading right after which it loses power and starts again at 0. What has passed
            of the pulse that is not yet full stays in the measuring chamber and counts.
    """
    per_litre = Decimal(str(meter.pulses_per_liter)) / Decimal(str(meter.calibration_factor))
    pulses, unfinished = starts_at, Decimal(0)
    readings = [CounterReading(flows[0].at, pulses, float(flows[0].flow_lps))]
    for index, (earlier, later) in enumerate(pairwise(flows)):
        if index == power_loss_after:
            pulses = 0
        unfinished += earlier.flow_lps * _seconds(earlier, later) * per_litre
        pulses += int(unfinished)
        unfinished %= 1
        readings.append(CounterReading(later.at, pulses, float(later.flow_lps)))
    return readings


def _seconds(earlier: FlowReading, later: FlowReading) -> Decimal:
    return Decimal((later.at - earlier.at) // timedelta(seconds=1))
