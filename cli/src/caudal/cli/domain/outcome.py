"""What a demo's journey came to: the platform's own figures against what was sent."""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from caudal.cli.domain.transmissions import Journey

ONE_PULSE_M3 = Decimal("0.01")
"""Of a meter with 0.1 pulses per litre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The demo's result; every field but the first, the fourth and the last is an answer of the platform."""

    readings_sent: int
    """Different readings that left the meter."""
    readings_stored: int
    """Instants in the telemetry series."""
    volume_m3: float
    """Of the series: its last total less its first."""
    expected_volume_m3: float
    """Integrated from the file, without counting pulses."""
    resets: int
    """Confirmed restarts of the counter."""
    glitches: int
    """Single wrong counts."""
    duplicates: int
    """Deliveries that brought nothing new."""
    late: int
    """Readings first heard of after a later one."""
    rejected: int
    """Payloads that could not be read; kept whole."""
    flags: dict[str, int]
    """Values by flag."""
    seconds: float
    """From the first message to the last stored value."""

    def as_dict(self) -> dict[str, Any]:
        """The fields, in their order."""
        return asdict(self)

    def shortcomings(self, journey: Journey) -> list[str]:
        """What the platform did not do right, in words; empty if it did all."""
        off = abs(Decimal(str(self.volume_m3)) - Decimal(str(self.expected_volume_m3)))
        found = [
            _unequal("readings stored", self.readings_stored, self.readings_sent),
            _unequal("resets of the counter", self.resets, 1),
            _unequal("glitches", self.glitches, 1),
            _unequal("duplicates", self.duplicates, journey.duplicates),
            _unequal("rejected payloads", self.rejected, journey.unreadable),
            f"the volume is off by {off:.3f} m³, more than one pulse ({ONE_PULSE_M3} m³)" if off > ONE_PULSE_M3 else "",
        ]
        return [words for words in found if words]


def _unequal(what: str, found: int, expected: int) -> str:
    return "" if found == expected else f"{what}: {found} instead of {expected}"
