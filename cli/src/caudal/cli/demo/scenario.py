"""The demo's point, its meter and all that the meter sends, made from the real flow of the sample file."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any

from caudal.cli.domain.meter import FlowReading, counted, days_until, moved, read_flows, volume_m3
from caudal.cli.domain.transmissions import Journey, journey, with_single_zero
from caudal.common.domain.catalog import PulseMeter

POINT = "demo-branch"
DEVICE = "demo-meter"
METER = PulseMeter(pulses_per_liter=0.1, calibration_factor=1.0)
STARTS_AT = 184_230
"""What the counter shows at the first reading: the meter has been there for a while."""
SEED = 2022


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is going to be sent, and what has to come of it."""

    flows: list[FlowReading]
    days: int
    """By how much the file's times were moved."""
    journey: Journey
    expected_volume_m3: Decimal

    @property
    def first_at(self) -> datetime:
        """When the first reading was measured."""
        return self.flows[0].at.astimezone(UTC)

    @property
    def last_at(self) -> datetime:
        """When the last reading was measured."""
        return self.flows[-1].at.astimezone(UTC)


def scenario(now: datetime) -> Scenario:
    """The sample file moved up to `now`, counted by the meter and sent with what real meters do."""
    flows = read_flows((files("caudal.cli") / "sample_data" / "water-flow.csv").read_text(encoding="utf-8"))
    days = days_until(flows, now)
    flows = moved(flows, days)
    readings = counted(flows, METER, STARTS_AT, power_loss_after=2 * len(flows) // 3)
    readings = with_single_zero(readings, len(flows) // 5)
    return Scenario(flows, days, journey(readings, SEED), volume_m3(flows))


def point() -> dict[str, Any]:
    """The catchment point, as the API takes it."""
    meter = {"pulses_per_liter": METER.pulses_per_liter, "calibration_factor": METER.calibration_factor}
    return {
        "code": POINT,
        "name": "Demo: a branch of a real pipeline",
        "type": "SPRING",
        "device": DEVICE,
        "sampling_minutes": 60,
        "variables": [
            {"code": "total", "name": "Totalizer", "type": "totalizer", "counter": {"kind": "total", "meter": meter}},
            {"code": "flow", "name": "Flow", "type": "flow"},
        ],
    }
