"""The simulated meter: exact, and true to the flow whatever happens to its counter."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.cli.domain.meter import FlowReading, counted, days_until, moved, read_flows, volume_m3
from caudal.common.domain.catalog import PulseMeter
from caudal.common.domain.errors import InvalidInput

METER = PulseMeter(pulses_per_liter=0.1)
START = datetime(2022, 3, 20, 10, tzinfo=UTC)
ONE_PULSE_M3 = Decimal("0.01")

flow_series = st.lists(st.tuples(st.integers(1, 200_000), st.decimals(0, 500, places=2)), min_size=2, max_size=40).map(
    lambda steps: [
        FlowReading(START + timedelta(seconds=sum(s for s, _ in steps[:i])), f) for i, (_, f) in enumerate(steps)
    ]
)


def sample() -> list[FlowReading]:
    return read_flows((files("caudal.cli") / "sample_data" / "water-flow.csv").read_text())


def test_volume_can_be_checked_by_hand() -> None:
    flows = [FlowReading(START, Decimal(10)), FlowReading(START + timedelta(hours=1), Decimal(7))]
    assert volume_m3(flows) == 36


def test_sample_is_read_whole_and_its_instants_are_kept_through_the_change_to_summer_time() -> None:
    flows = sample()
    assert len(flows) == 1268
    assert flows[0] == FlowReading(START, Decimal("100.59"))
    assert all(later.at > earlier.at for earlier, later in pairwise(flows))
    before = next(i for i, flow in enumerate(flows) if flow.at == datetime(2022, 3, 27, 0, tzinfo=UTC))
    assert flows[before + 1].at == datetime(2022, 3, 27, 1, tzinfo=UTC)


def test_volume_of_the_sample() -> None:
    assert volume_m3(sample()) == Decimal("497240.496")


@given(flows=flow_series, starts_at=st.integers(0, 10**9))
def test_pulses_give_the_volume_to_within_one_pulse(flows: list[FlowReading], starts_at: int) -> None:
    readings = counted(flows, METER, starts_at)
    gained = Decimal(readings[-1].pulses - starts_at) * ONE_PULSE_M3
    assert abs(volume_m3(flows) - gained) < ONE_PULSE_M3


@given(flows=flow_series, data=st.data())
def test_a_power_loss_restarts_the_counter_and_loses_no_water(flows: list[FlowReading], data: st.DataObject) -> None:
    lost_after = data.draw(st.integers(0, len(flows) - 2))
    readings = counted(flows, METER, 1000, power_loss_after=lost_after)
    gained = readings[lost_after].pulses - 1000 + readings[-1].pulses
    assert readings[lost_after + 1].pulses <= readings[-1].pulses
    assert abs(volume_m3(flows) - gained * ONE_PULSE_M3) < ONE_PULSE_M3


def test_moved_by_whole_days_none_lies_ahead_and_the_last_is_less_than_a_day_old() -> None:
    flows, now = sample(), datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
    later = moved(flows, days_until(flows, now))
    assert timedelta() <= now - later[-1].at < timedelta(days=1)
    assert volume_m3(later) == volume_m3(flows)
    assert {(b.at - a.at) % timedelta(days=1) for a, b in zip(flows, later, strict=True)} == {timedelta()}


def test_times_with_a_zone_are_the_instants_they_name() -> None:
    (flow,) = read_flows("Time,Flow\n2022-03-20T11:00:00+01:00,1\n")
    assert flow.at == datetime(2022, 3, 20, 11, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("T,F\n2022-03-20T11:00:00,1\n", "without a zone"),
        ("T,F\n2022-03-20T11:00:00Z,much\n", "no time and flow"),
        ("T,F\n2022-03-20T11:00:00Z\n", "no time and flow"),
        ("T,F\n2022-03-20T11:00:00Z,1\n2022-03-20T11:00:00Z,1\n", "does not come after"),
    ],
)
def test_an_unreadable_line_is_named(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        read_flows(text)
    assert caught.value.field.startswith("line ")
