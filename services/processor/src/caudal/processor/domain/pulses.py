"""Pulses to volume."""

import msgspec

from caudal.common.domain.catalog import PulseMeter


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
    """The constants of a pulse meter.

    m³ = pulses × calibration_factor / (pulses_per_liter × 1000)

    Source: docs/glossary.md, "pulse"; the data sheet of the meter.
    """
    return Constants(factor=float(meter.calibration_factor), divisor=meter.pulses_per_liter * 1000.0)
