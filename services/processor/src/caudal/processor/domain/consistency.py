"""Rules that compare variables of a point with one another. They flag; they never drop."""

from datetime import datetime

import msgspec

from caudal.common.domain.catalog import Rules


class FlowSeen(msgspec.Struct, frozen=True, array_like=True):
    """A measured flow and the total at the same instant."""

    at: datetime
    lps: float
    total_m3: float


class LevelSeen(msgspec.Struct, frozen=True, array_like=True):
    """A measured level and the total at the same instant."""

    at: datetime
    level_m: float
    total_m3: float


def flow_contradicts_total(before: FlowSeen, now: FlowSeen, rules: Rules, gap_s: float, resolution_m3: float) -> bool:
    """FLOW_TOTAL_CONSISTENCY: there was flow, but the total did not grow in proportion.

    The flow between two readings is taken as the mean of both. Across a gap nothing is said.

    Args:
        before: The reading before.
        now: This reading.
        rules: The share by which they may differ.
        gap_s: A longer time between them is a gap.
        resolution_m3: Volume of one count; half-counted volume at both ends is no contradiction.
    """
    seconds = (now.at - before.at).total_seconds()
    if seconds > gap_s:
        return False
    expected = (before.lps + now.lps) / 2.0 * seconds / 1000.0
    if expected <= 0:
        return False
    grown = now.total_m3 - before.total_m3
    return abs(grown - expected) > rules.flow_total_tolerance * expected + resolution_m3


def level_contradicts_total(before: LevelSeen, now: LevelSeen, rules: Rules, gap_s: float) -> bool:
    """LEVEL_ACCUMULATED_CONSISTENCY: the level moved clearly, the accumulated volume did not move at all."""
    if (now.at - before.at).total_seconds() > gap_s:
        return False
    return abs(now.level_m - before.level_m) > rules.level_change_m and now.total_m3 <= before.total_m3
