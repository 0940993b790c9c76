"""Local times of a clock whose zone changed, also on the days when clocks change by themselves."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caudal.common.domain.catalog import Point, Version
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.common.domain.payloads.zones import ClockChange, WallClock, Zones, zones_of

SANTIAGO = "America/Santiago"
"""Its clock goes back on 2026-04-05 at 03:00 UTC, and forward on 2026-09-06 at 04:00 UTC."""
NAMES = ("UTC", SANTIAGO, "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

changed_clocks = st.builds(
    lambda hours, names: Zones(
        tuple(names[: len(hours) + 1]), tuple(datetime(2026, 4, 3, tzinfo=UTC) + HOUR * hour for hour in sorted(hours))
    ),
    st.sets(st.integers(0, 96), max_size=6),
    st.lists(st.sampled_from(NAMES), min_size=7, max_size=7),
)
local_times = st.builds(lambda minutes: datetime(2026, 4, 1) + timedelta(minutes=15 * minutes), st.integers(0, 96 * 9))
policies = st.sampled_from(("before", "after"))


def read(zones: Zones, local: datetime, clock_change: ClockChange = "before") -> datetime:
    return WallClock(zones, clock_change).utc_of(local)


def to(*zones: str) -> Zones:
    """Clocks that were set to another zone at noon, each a day after the one before."""
    return Zones(zones, tuple(NOON + timedelta(days=day) for day in range(len(zones) - 1)))


@given(changed_clocks, local_times, policies)
def test_the_zone_counts_that_held_at_the_instant_it_gives(
    zones: Zones, local: datetime, clock_change: ClockChange
) -> None:
    alone = [read(Zones((name,)), local, clock_change) for name in zones.names]
    begins = [datetime.min.replace(tzinfo=UTC), *zones.changes]
    ends = [*zones.changes, datetime.max.replace(tzinfo=UTC)]
    holding = [at for at, begun, ended in zip(alone, begins, ends, strict=True) if begun <= at < ended]
    over = [number for number, at in enumerate(alone) if at >= ends[number]]
    assert read(zones, local, clock_change) == (holding[-1] if holding else alone[over[-1] + 1])


@given(changed_clocks, st.integers(0, 96 * 8))
def test_what_a_clock_showed_once_is_when_it_showed_it(zones: Zones, quarters: int) -> None:
    def shown(at: datetime) -> datetime:
        held = sum(change <= at for change in zones.changes)
        return at.astimezone(ZoneInfo(zones.names[held])).replace(tzinfo=None)

    at = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(minutes=15 * quarters)
    around = (at + timedelta(minutes=15 * step) for step in range(-4 * 30, 4 * 30))
    if sum(shown(other) == shown(at) for other in around) == 1:
        assert read(zones, shown(at)) == at


@given(st.sampled_from(NAMES), st.lists(st.integers(0, 96), unique=True, max_size=5), local_times, policies)
@example(SANTIAGO, [51], datetime(2026, 4, 4, 23, 30), "after")
def test_versions_that_leave_the_zone_alone_change_nothing(
    name: str, hours: list[int], local: datetime, clock_change: ClockChange
) -> None:
    ends = [datetime(2026, 4, 3, tzinfo=UTC) + HOUR * hour for hour in sorted(hours)]
    earlier = tuple(Version(valid_until=end, sampling_minutes=60, time_zone=name) for end in ends)
    zones = zones_of(Point(code="p", device="d", time_zone=name, earlier=earlier))
    assert zones == Zones((name,))
    assert read(zones, local, clock_change) == read(Zones((name,)), local, clock_change)


def test_a_time_long_past_is_read_by_the_zone_of_then() -> None:
    earlier = (
        Version(valid_until=NOON, sampling_minutes=60, time_zone="UTC"),
        Version(valid_until=NOON + HOUR, sampling_minutes=5, time_zone="UTC"),
        Version(valid_until=NOON + 48 * HOUR, sampling_minutes=5, time_zone="Asia/Kathmandu"),
    )
    zones = zones_of(Point(code="p", device="d", time_zone=SANTIAGO, earlier=earlier))
    assert zones == Zones(("UTC", "Asia/Kathmandu", SANTIAGO), (NOON + HOUR, NOON + 48 * HOUR))
    assert read(zones, datetime(2025, 1, 1)) == datetime(2025, 1, 1, tzinfo=UTC)
    assert read(zones, datetime(2026, 3, 4)) == datetime(2026, 3, 3, 18, 15, tzinfo=UTC)
    assert read(zones, datetime(2027, 1, 1)) == datetime(2027, 1, 1, 3, tzinfo=UTC)


def test_versions_that_tell_no_zone_are_in_the_present_one() -> None:
    earlier = (Version(valid_until=NOON, sampling_minutes=60),)
    assert zones_of(Point(code="p", device="d", time_zone=SANTIAGO, earlier=earlier)) == Zones((SANTIAGO,))


def test_a_time_shown_in_both_zones_is_of_the_later_one() -> None:
    assert read(to("UTC", SANTIAGO), datetime(2026, 3, 2, 8, 59)) == NOON - 3 * HOUR - timedelta(minutes=1)
    assert read(to("UTC", SANTIAGO), datetime(2026, 3, 2, 9)) == NOON
    assert read(to("UTC", SANTIAGO), datetime(2026, 3, 2, 11, 59)) == NOON + 3 * HOUR - timedelta(minutes=1)


def test_a_time_shown_in_neither_zone_is_of_the_later_one() -> None:
    assert read(to(SANTIAGO, "UTC"), datetime(2026, 3, 2, 8, 59)) == NOON - timedelta(minutes=1)
    assert read(to(SANTIAGO, "UTC"), datetime(2026, 3, 2, 9)) == NOON - 3 * HOUR
    assert read(to(SANTIAGO, "UTC"), datetime(2026, 3, 2, 12)) == NOON


def test_the_change_of_a_clock_elsewhere_is_no_reason_to_refuse() -> None:
    elsewhere = Zones((SANTIAGO, "UTC"), (NOON,))
    assert read(elsewhere, datetime(2026, 4, 4, 23, 30), "reject") == datetime(2026, 4, 4, 23, 30, tzinfo=UTC)
    with pytest.raises(Unreadable, match="exists twice in America/Santiago"):
        read(to("UTC", SANTIAGO), datetime(2026, 4, 4, 23, 30), "reject")


def test_no_local_time_is_too_far_out_to_be_told_about() -> None:
    for local in (datetime.min, datetime.max):
        with pytest.raises((Unreadable, OverflowError)):
            read(to("UTC", SANTIAGO, "Asia/Kathmandu"), local)
