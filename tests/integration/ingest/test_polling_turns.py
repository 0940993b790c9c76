"""Turns of providers in a round: none waits for another, and whatever was put right is tried at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import migrate, open_engine
from caudal.common.settings import SqlSettings
from caudal.ingest.domain.breaker import FAILURES
from caudal.ingest.handlers.polling import TURN_S
from caudal.ingest.main import VERSION_TABLE
from caudal.ingest.ports import Failed, Outcome, Question
from fakes.providers import MemoryFleet, MemoryProvider, asked_provider, away, sourced_point
from integration.ingest.polling_house import DAY, HOUR, KEYS, MINUTE, NOW, House

PATIENCE_S = 60.0


class SlowProvider(MemoryProvider):
    """Answers once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def history(self, question: Question) -> AsyncIterator[Outcome]:
        """As `ProviderClient`."""
        await self.may_answer.wait()
        async for outcome in super().history(question):
            yield outcome


async def until(provider: MemoryProvider | MemoryFleet, questions: int) -> None:
    """Return once a provider has heard so many questions, or the fleet was looked at so often."""
    async with asyncio.timeout(PATIENCE_S):
        while len(provider.questions) < questions:
            await asyncio.sleep(0.01)


def refuses(question: Question) -> Outcome:
    """What a provider says that does not know us."""
    return Failed(reason="refuses our credentials (401)", is_transient=False)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(SqlSettings(database_url=f"sqlite+aiosqlite:///{tmp_path}/caudal.db"))
    await migrate(engine, "caudal.ingest", VERSION_TABLE)
    yield engine
    await engine.dispose()


@pytest.fixture
def house(engine: AsyncEngine) -> House:
    points = [sourced_point("well-1", "acme", KEYS), sourced_point("river-1", "other", KEYS)]
    return House(engine, [asked_provider("acme"), asked_provider("other")], points)


async def test_a_slow_provider_keeps_no_other_from_its_next_turn(house: House) -> None:
    house.acme = slow = SlowProvider()
    house.polling = house.started()
    round_ = asyncio.create_task(house.polling.round(MINUTE))
    for turn in range(1, 4):
        await until(house.other, turn)
        house.clock.at += 5 * MINUTE
    assert not round_.done()
    slow.may_answer.set()
    done = await round_
    assert done is not None
    assert len(slow.questions) == 1


async def test_an_order_is_heard_while_a_slow_provider_has_its_turn(house: House) -> None:
    house.acme = slow = SlowProvider()
    house.polling = house.started()
    round_ = asyncio.create_task(house.polling.round(MINUTE))
    await until(house.other, 1)
    house.polling.order("other")
    house.polling.order("acme")
    await until(house.other, 2)
    assert house.polling.ordered.is_set()
    slow.may_answer.set()
    await round_
    assert await house.polling.round(DAY) is not None
    assert len(slow.questions) == 2
    assert not house.polling.ordered.is_set()


@pytest.mark.parametrize("change", [{"active": False}, {"testing": True}, None])
async def test_who_is_switched_off_in_the_middle_of_a_turn_is_asked_no_further(
    engine: AsyncEngine, change: dict[str, bool] | None
) -> None:
    points = [sourced_point(f"well-{number}", "acme", KEYS) for number in range(20)]
    house = House(engine, [asked_provider("acme")], points)
    house.acme = slow = SlowProvider()
    house.polling = house.started()
    round_ = asyncio.create_task(house.polling.round(MINUTE))
    await until(house.fleet, 1)
    house.fleet.providers_now = [] if change is None else [replace(asked_provider("acme"), **change)]
    house.clock.at += 5 * MINUTE
    await until(house.fleet, 2)
    slow.may_answer.set()
    await round_
    assert len(slow.questions) == 4


async def test_a_turn_goes_on_with_the_secrets_and_the_points_as_they_are_now(engine: AsyncEngine) -> None:
    points = [sourced_point(f"well-{number}", "acme", KEYS) for number in range(8)]
    house = House(engine, [asked_provider("acme"), asked_provider("other")], points)
    house.acme = slow = SlowProvider()
    house.polling = house.started()
    round_ = asyncio.create_task(house.polling.round(MINUTE))
    await until(house.fleet, 1)
    house.fleet.points = [*points[:6], replace(points[6], provider="other")]
    house.fleet.marks["acme"] = 7
    house.clock.at += MINUTE
    await until(house.fleet, 2)
    slow.may_answer.set()
    await round_
    assert sorted(question.remote_id for question in slow.questions) == [f"well-{number}" for number in range(6)]
    assert [question.remote_id for question in house.other.questions] == ["well-6"]
    assert house.clients.marks == [0] * 4 + [0] + [7] * 2


async def test_an_entry_of_which_no_client_can_be_made_stops_no_other(house: House) -> None:
    del house.clients.clients["acme"]
    house.clients.fault = ZeroDivisionError("https://user:secret@acme.example")
    done = await house.round()
    assert (done.points, done.failed, len(house.other.questions)) == (2, 1, 1)
    assert (await house.record.points())["well-1"].error == "our client failed: ZeroDivisionError"


@pytest.mark.parametrize("concerns_all", [True, False])
async def test_credentials_that_all_points_share_are_not_tried_with_each_of_them(
    engine: AsyncEngine, concerns_all: bool
) -> None:
    points = [sourced_point(f"well-{number}", "acme", KEYS) for number in range(40)]
    house = House(engine, [asked_provider("acme")], points)
    house.acme.trouble = lambda question: Failed(reason="401", is_transient=False, concerns_all=concerns_all)
    await house.round()
    assert len(house.acme.questions) < FAILURES + 4 if concerns_all else len(house.acme.questions) == 40
    house.acme.trouble = lambda question: None
    house.fleet.marks["acme"] = 1
    house.acme.questions.clear()
    await house.polling.round(timedelta())
    assert len(house.acme.questions) == 40


async def test_a_turn_ends_in_time_and_those_left_out_come_first_in_the_next(engine: AsyncEngine) -> None:
    points = [sourced_point(f"well-{number}", "acme", KEYS) for number in range(12)]
    house = House(engine, [asked_provider("acme")], points)

    def late(question: Question) -> None:
        house.clock.at += timedelta(seconds=TURN_S / 2)

    house.acme.trouble = late
    await house.round()
    first = {question.remote_id for question in house.acme.questions}
    assert len(first) < 12
    house.acme.trouble = lambda question: None
    house.acme.questions.clear()
    await house.round()
    assert house.acme.questions[0].remote_id not in first
    assert len(house.acme.questions) == 12


async def test_a_point_whose_entry_was_mended_need_not_wait(house: House) -> None:
    house.acme.trouble = house.other.trouble = refuses
    for _ in range(6):
        house.clock.at += HOUR
        await house.round()
    house.acme.trouble = house.other.trouble = lambda question: None
    house.acme.questions.clear()
    house.other.questions.clear()
    await house.polling.round(timedelta())
    assert not house.acme.questions
    house.fleet.marks["acme"] = 1
    await house.polling.round(timedelta())
    assert (len(house.acme.questions), len(house.other.questions)) == (1, 0)
    house.fleet.points = [replace(house.fleet.points[1], source=house.fleet.points[0].source)]
    await house.polling.round(timedelta())
    assert len(house.other.questions) == 1


async def test_a_provider_that_was_mended_or_ordered_is_tried_although_it_was_to_be_left_alone(house: House) -> None:
    house.acme.trouble = lambda question: Failed(reason="429", is_transient=True, retry_after_s=1800)
    await house.round()
    house.acme.questions.clear()
    house.polling.order("acme")
    await house.round()
    assert len(house.acme.questions) == 1
    house.fleet.providers_now = [replace(asked_provider("acme"), name="Acme"), asked_provider("other")]
    await house.round()
    assert len(house.acme.questions) == 2
    await house.round()
    assert len(house.acme.questions) == 2


async def test_what_one_provider_did_with_a_point_does_not_keep_the_next_from_being_asked(house: House) -> None:
    house.acme.measure("well-1", "q", NOW, 1)
    await house.round()
    house.acme.trouble = away
    for _ in range(6):
        house.clock.at += HOUR
        await house.round()
    house.fleet.points = [sourced_point("well-1", "other", KEYS)]
    house.other.measure("well-1", "q", NOW + HOUR, 2)
    house.other.questions.clear()
    await house.polling.round(timedelta())
    assert [question.start for question in house.other.questions] == [house.clock.at - DAY, NOW - HOUR]
    state = (await house.record.points())["well-1"]
    assert (state.provider, state.failures, state.measured_until) == ("other", 0, NOW + HOUR)


async def test_a_cursor_that_a_wrong_clock_moved_ahead_comes_back(house: House) -> None:
    await house.record.move("well-1", {"flow": NOW + DAY, "total": NOW + DAY}, NOW + DAY)
    house.acme.measure("well-1", "q", NOW - 30 * MINUTE, 1)
    await house.round()
    assert (await house.record.cursors())["well-1"] == {"flow": NOW - 30 * MINUTE, "total": NOW + DAY}
