"""Pulses to volume."""

import msgspec

from caudal.common.domain.catalog import PulseMeter
from caudal.common.domain.errors import InvalidInput


class UnreadablePulses(InvalidInput):
    """A count that no meter can show."""

    def __init__(self, pulses: float) -> None:
        super().__init__("pulses", f"{pulses} is below 0")
        self.pulses = pulses


class Constants(msgspec.Struct, frozen=True, array_like=True):
    """What turns counts into volume: m³ = counts × factor / divisor."""

    factor: float = 1.0
    """The calibration factor, or the scale of a counter that gives volume."""
    divisor: float = 1.0
    """Pulses per m³ before calibration; 1 for a counter that gives volume."""

    def volume_m3(self, counts: float) -> float:
        """Volume of so many counts, m³."""
        return counts * self.factor / self.divisor


def pulse_constants(meter: PulseMeter) -> Constants:
    """The constants of a pulse meter."""
    return Constants(factor=float(meter.calibration_factor), divisor=meter.pulses_per_liter * 1000.0)


def volume_from_pulses(pulses: float, meter: PulseMeter) -> float:
    """Volume that passed the meter while it gave `pulses` pulses, m³.

    m³ = pulses × calibration_factor / (pulses_per_liter × 1000)

    Args:
        pulses: Count since the meter was installed; 0 or more.
        meter: Constants of this point; they are stored beside the result.

    Raises:
        UnreadablePulses: `pulses` is negative.

    Source: docs/glossary.md, "pulse"; the data sheet of the meter.
    """
    if pulses < 0:
        raise UnreadablePulses(pulses)
    return pulse_constants(meter).volume_m3(pulses)
