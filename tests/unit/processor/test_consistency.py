"""Where a flow or a level contradicts the total, and where it does not yet."""

from datetime import UTC, datetime, timedelta

import pytest

from caudal.common.domain.catalog import Rules
from caudal.processor.domain.consistency import (
    FlowSeen,
    LevelSeen,
    flow_contradicts_total,
    level_contradicts_total,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
GAP_S = 10_800.0


def flow_contradicts(
    *, lps: tuple[float, float], grown_m3: float, seconds: float = 1000.0, count_m3: float = 0.0
) -> bool:
    """Half of what a flow says may be missing or too much."""
    before = FlowSeen(START, lps[0], 500.0)
    now = FlowSeen(START + timedelta(seconds=seconds), lps[1], 500.0 + grown_m3)
    return flow_contradicts_total(before, now, Rules(flow_total_tolerance=0.5), GAP_S, count_m3)


def level_contradicts(*, moved_m: float, grown_m3: float = 0.0, seconds: float = 1000.0) -> bool:
    """A level that moves by more than half a meter moves clearly."""
    before = LevelSeen(START, 10.0, 500.0)
    now = LevelSeen(START + timedelta(seconds=seconds), 10.0 + moved_m, 500.0 + grown_m3)
    return level_contradicts_total(before, now, Rules(level_change_m=0.5), GAP_S)


@pytest.mark.parametrize(("grown_m3", "contradicts"), [(4.0, False), (3.9, True), (12.0, False), (12.1, True)])
def test_the_mean_of_two_flows_over_the_time_between_them_is_what_is_expected(
    grown_m3: float, contradicts: bool
) -> None:
    """6 and 10 l/s over 1000 s are 8 m³."""
    assert flow_contradicts(lps=(6, 10), grown_m3=grown_m3) is contradicts


@pytest.mark.parametrize(("grown_m3", "contradicts"), [(2.0, False), (1.9, True), (14.0, False), (14.1, True)])
def test_a_coarse_counter_may_be_one_count_further_off(grown_m3: float, contradicts: bool) -> None:
    assert flow_contradicts(lps=(6, 10), grown_m3=grown_m3, count_m3=2.0) is contradicts


def test_where_nothing_flowed_any_total_will_do() -> None:
    assert not flow_contradicts(lps=(0, 0), grown_m3=100)
    assert not flow_contradicts(lps=(-3, -1), grown_m3=100)
    assert flow_contradicts(lps=(0, 0.001), grown_m3=100)


@pytest.mark.parametrize(("seconds", "contradicts"), [(GAP_S, True), (GAP_S + 1, False)])
def test_across_a_gap_nothing_is_said(seconds: float, contradicts: bool) -> None:
    assert flow_contradicts(lps=(6, 10), grown_m3=0, seconds=seconds) is contradicts
    assert level_contradicts(moved_m=3, seconds=seconds) is contradicts


@pytest.mark.parametrize(("moved_m", "contradicts"), [(0.5, False), (0.75, True), (-0.5, False), (-0.75, True)])
def test_a_level_that_moves_clearly_either_way_contradicts_a_total_that_stands(
    moved_m: float, contradicts: bool
) -> None:
    assert level_contradicts(moved_m=moved_m) is contradicts


def test_the_least_volume_explains_a_level() -> None:
    assert not level_contradicts(moved_m=3, grown_m3=0.001)
