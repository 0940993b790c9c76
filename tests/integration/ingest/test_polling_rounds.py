"""Rounds of asking providers, over the record on both databases: what is asked, how far it is complete, who waits."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import RawReadings
from caudal.common.domain.catalog import PointStatus, Provider
from caudal.common.domain.errors import Transient
from caudal.common.domain.readings import Inlet
from caudal.ingest.domain.breaker import FAILURES
from caudal.ingest.handlers.polling import Round
from caudal.ingest.ports import Failed, Question
from fakes.providers import asked_provider, away, sourced_point
from integration.ingest.polling_house import DAY, HOUR, KEYS, MINUTE, NOW, House


@pytest.fixture
def house(engine: AsyncEngine) -> House:
    points = [sourced_point("well-1", "acme", KEYS)]
    return House(engine, [asked_provider("acme"), asked_provider("other")], points)


async def test_readings_go_the_way_of_all_readings(house: House) -> None:
    house.acme.measure("well-1", "q", NOW - HOUR, 12.5)
    house.acme.measure("well-1", "v", NOW - HOUR, 184230)
    assert await house.round() == Round(points=1, failed=0, readings=1)
    (bundle,) = [decode(message.payload, RawReadings) for message in house.raw()]
    assert (bundle.device, bundle.provider, bundle.inlet) == ("D-well-1", "acme", Inlet.POLL)
    assert [(each.measured_at, each.values) for each in bundle.readings] == [
        (NOW - HOUR, {"flow": 12.5, "total": 184230})
    ]


async def test_asking_again_hands_nothing_on_twice_and_misses_no_late_row(house: House) -> None:
    house.acme.measure("well-1", "q", NOW - 30 * MINUTE, 1)
    await house.round()
    house.acme.measure("well-1", "q", NOW - 50 * MINUTE, 2)
    house.acme.measure("well-1", "q", NOW, 3)
    await house.round()
    await house.round()
    assert house.handed_on() == {NOW - 30 * MINUTE: 1, NOW - 50 * MINUTE: 1, NOW: 1}


async def test_a_corrected_value_is_handed_on(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 1)
    await house.round()
    house.acme.measure("well-1", "q", NOW, 2)
    await house.round()
    assert house.handed_on() == {NOW: 2}


async def test_outage_is_filled_page_by_page(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 0)
    await house.round()
    house.acme.trouble = away
    house.clock.at += 5 * DAY
    await house.round()
    for hour in range(1, 121):
        house.acme.measure("well-1", "q", NOW + hour * HOUR, hour)
    house.acme.trouble = lambda question: None
    house.clock.at += HOUR
    await house.round()
    assert house.handed_on() == {NOW + hour * HOUR: 1 for hour in range(121)}


async def test_a_failure_in_the_middle_keeps_what_came_before_it(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 0)
    await house.round()
    for hour in range(1, 97):
        house.acme.measure("well-1", "q", NOW + hour * HOUR, hour)
    house.clock.at += 4 * DAY
    pages = iter(range(100))
    house.acme.trouble = lambda question: away(question) if next(pages) == 2 else None
    assert (await house.round()).failed == 1
    house.clock.at += 10 * MINUTE
    house.polling = house.started()
    await house.round()
    assert set(house.handed_on()) == {NOW + hour * HOUR for hour in range(97)}
    resumed = house.acme.questions[-1].start
    assert resumed is not None
    assert resumed > NOW + DAY


async def test_a_device_that_was_cut_off_is_complete_when_it_is_back(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 0)
    for _ in range(15):
        await house.round()
    house.acme.measure("well-1", "q", NOW + 2 * MINUTE, 1)
    await house.round()
    assert house.handed_on() == {NOW: 1, NOW + 2 * MINUTE: 1}


async def test_a_silent_variable_costs_one_question_and_holds_back_no_other(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 0)
    house.acme.measure("well-1", "v", NOW, 0)
    await house.round()
    for hour in range(1, 73):
        house.acme.measure("well-1", "q", NOW + hour * HOUR, 1)
    house.clock.at += 3 * DAY
    await house.round()
    house.acme.questions.clear()
    await house.round()
    starts = {tuple(question.keys): question.start for question in house.acme.questions}
    assert starts == {("total",): NOW - HOUR, ("flow",): NOW + 71 * HOUR}


async def test_no_cursor_moves_before_the_broker_has_the_page(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 1)
    house.bus.is_away = True
    with pytest.raises(Transient, match="no broker"):
        await house.round()
    assert await house.record.cursors() == {}
    house.bus.is_away = False
    await house.round()
    assert house.handed_on() == {NOW: 1}
    assert (await house.record.cursors())["well-1"]["flow"] == NOW


async def test_nothing_is_no_failure_and_no_zero(house: House) -> None:
    assert await house.round() == Round(points=1, failed=0, readings=0)
    assert house.bus.published == []
    state = (await house.record.points())["well-1"]
    assert (state.failures, state.error, state.measured_until) == (0, None, None)
    assert state.answered_at == NOW + 5 * MINUTE


async def test_failures_are_told_of_the_point_and_of_the_provider(house: House) -> None:
    house.acme.trouble = away
    await house.round()
    state = (await house.record.points())["well-1"]
    assert (state.failures, state.error, state.answered_at) == (1, "cannot be reached", None)
    provider = (await house.record.providers())["acme"]
    assert (provider.error, provider.connected_at) == ("cannot be reached", None)
    house.acme.trouble = lambda question: None
    await house.round()
    provider = (await house.record.providers())["acme"]
    assert (provider.error, provider.connected_at) == (None, NOW + 10 * MINUTE)


async def test_a_provider_that_is_down_is_left_alone_and_delays_no_other(engine: AsyncEngine) -> None:
    points = [sourced_point(f"well-{number}", "acme", KEYS) for number in range(40)]
    points += [sourced_point(f"river-{number}", "other", KEYS) for number in range(40)]
    house = House(engine, [asked_provider("acme"), asked_provider("other")], points)
    house.acme.trouble = away
    await house.round()
    assert len(house.other.questions) == 40
    assert FAILURES <= len(house.acme.questions) < FAILURES + 4
    house.acme.questions.clear()
    await house.round()
    assert len(house.acme.questions) == 1
    house.acme.trouble = lambda question: None
    house.acme.questions.clear()
    await house.round()
    assert {question.remote_id for question in house.acme.questions} == {f"well-{number}" for number in range(40)}


async def test_retry_after_is_honoured(house: House) -> None:
    house.acme.trouble = lambda question: Failed(reason="429", is_transient=True, retry_after_s=1200)
    await house.round()
    house.acme.questions.clear()
    for _ in range(3):
        await house.round()
    assert house.acme.questions == []
    await house.round()
    assert len(house.acme.questions) == 1


async def test_a_client_with_a_fault_stops_its_point_alone(engine: AsyncEngine) -> None:
    points = [sourced_point("well-1", "acme", KEYS), sourced_point("well-2", "acme", KEYS)]
    house = House(engine, [asked_provider("acme")], points)
    house.acme.measure("well-2", "q", NOW, 1)

    def fault(question: Question) -> None:
        if question.remote_id == "well-1":
            raise ZeroDivisionError("https://user:secret@acme.example")

    house.acme.trouble = fault
    assert await house.round() == Round(points=2, failed=1, readings=1)
    assert (await house.record.points())["well-1"].error == "our client failed: ZeroDivisionError"


async def test_settings_that_cannot_be_used_are_told(engine: AsyncEngine) -> None:
    house = House(engine, [asked_provider("nowhere")], [sourced_point("well-1", "nowhere", KEYS)])
    assert (await house.round()).failed == 1
    assert (await house.record.providers())["nowhere"].error == "connection.base_url: is missing"


@pytest.mark.parametrize("change", [{"active": False}, {"testing": True}, {"api": None}, {"type": "MQTT"}])
async def test_who_is_not_to_be_asked_is_not(engine: AsyncEngine, change: dict[str, Any]) -> None:
    provider = Provider(**{"code": "acme", "api": "generic"} | change)
    house = House(engine, [provider], [sourced_point("well-1", "acme", KEYS)])
    assert (await house.round()).points == 0


async def test_a_point_that_is_inactive_is_not_asked_for_and_what_it_missed_is_filled_in_later(house: House) -> None:
    (point,) = await house.fleet.sourced()
    house.acme.measure("well-1", "q", NOW, 12.5)
    await house.round()
    house.acme.measure("well-1", "q", NOW + HOUR, 13.0)
    house.clock.at += 3 * HOUR
    house.fleet.points = [replace(point, status=PointStatus.INACTIVE)]
    house.polling.order("acme")
    assert (await house.round()).points == 0
    house.fleet.points = [replace(point, status=PointStatus.MAINTENANCE)]
    assert (await house.round()).points == 1
    assert house.handed_on() == {NOW: 1, NOW + HOUR: 1}


async def test_an_ordered_provider_is_asked_for_all_its_points_whatever_the_clock_says(engine: AsyncEngine) -> None:
    points = [sourced_point("well-1", "acme", KEYS), sourced_point("well-2", "other", KEYS)]
    house = House(engine, [asked_provider("acme"), asked_provider("other")], points)
    await house.round()
    assert await house.polling.round(DAY) is None
    house.polling.order("acme")
    done = await house.polling.round(DAY)
    assert done is not None
    assert (done.points, len(house.acme.questions), len(house.other.questions)) == (1, 2, 1)
    assert not house.polling.ordered.is_set()
    assert await house.polling.round(DAY) is None


async def test_what_was_ordered_stays_so_when_the_round_fails(house: House) -> None:
    house.acme.measure("well-1", "q", NOW - HOUR, 1)
    house.polling.order("acme")
    house.bus.is_away = True
    with pytest.raises(Transient):
        await house.polling.round(DAY)
    assert house.polling.ordered.is_set()
    house.bus.is_away = False
    await house.polling.round(DAY)
    assert house.handed_on() == {NOW - HOUR: 1}


async def test_two_clocks_of_a_process_begin_one_round(house: House) -> None:
    done = await asyncio.gather(house.polling.round(MINUTE), house.polling.round(MINUTE))
    assert done[1] is None
    assert len(house.acme.questions) == 1


async def test_of_two_replicas_one_has_a_round_and_a_crashed_one_begins_again_at_once(house: House) -> None:
    mine, other = house.started("a"), house.started("b")
    far = NOW + DAY
    assert await house.record.begin("a", NOW, far, NOW - HOUR)
    assert await other.round(MINUTE) is None
    assert await mine.round(MINUTE) is not None
    assert await other.round(MINUTE) is None
    house.clock.at += 2 * MINUTE
    assert await other.round(MINUTE) is not None


async def test_a_dead_replicas_round_is_taken_over_in_the_end(house: House) -> None:
    assert await house.record.begin("a", NOW, NOW + HOUR, NOW - HOUR)
    house.clock.at += HOUR + MINUTE
    assert await house.started("b").round(MINUTE) is not None


async def test_what_is_remembered_of_a_point_goes_with_it(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 1)
    await house.round()
    house.fleet.points = []
    await house.round()
    assert await house.record.points() == {}
    assert await house.record.cursors() == {}


async def test_migrations_make_the_tables_of_the_code_and_views(engine: AsyncEngine, house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 1)
    await house.round()
    async with engine.connect() as connection:
        points = (await connection.execute(sa.text("select * from polling_points"))).mappings().one()
        providers = (await connection.execute(sa.text("select * from polling_providers"))).mappings().one()
    assert points["point"] == "well-1"
    assert points["complete_until"] == points["measured_until"]
    assert providers["provider"] == "acme"
