"""What rounds remember: nothing is handed on twice whoever asks, what comes late is found, a past can be wanted."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Rejected
from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import Transient
from caudal.ingest.domain.schedule import Reach
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.asking import Asker
from caudal.ingest.handlers.polling import Polling
from caudal.ingest.ports import Answered, Failed, Outcome, Question, UnreadableRow
from fakes.providers import MemoryClients, asked_provider, sourced_point
from integration.ingest.polling_house import DAY, HOUR, KEYS, MINUTE, NOW, House, NoTally


class LongHouse(House):
    """Looks back a week."""

    def started(self, holder: str = "ingest") -> Polling:
        """As `House`."""
        accepting = Accepting(self.catalog, self.bus, self.clock, NoTally())
        asker = Asker(accepting, self.record, self.clock, Reach(DAY, HOUR, 7 * DAY))
        self.clients = MemoryClients(acme=self.acme, other=self.other)
        return Polling(
            self.fleet, self.fleet, self.clients, self.record, asker, self.clock, every=MINUTE, at_once=4, holder=holder
        )

    async def rounds(self, count: int) -> None:
        """So many rounds."""
        for _ in range(count):
            await self.round()

    def want(self, since: datetime | None) -> None:
        """Have the point's history wanted from an instant on."""
        (point,) = self.fleet.points
        assert point.source is not None
        self.fleet.points = [replace(point, source=replace(point.source, history_from=since))]


@pytest.fixture
def house(engine: AsyncEngine) -> LongHouse:
    points = [sourced_point("well-1", "acme", KEYS)]
    return LongHouse(engine, [asked_provider("acme"), asked_provider("other")], points)


def hourly(house: House, first: datetime, hours: int, key: str = "q") -> set[datetime]:
    """Have a value measured every hour; when."""
    instants = {first + hour * HOUR for hour in range(hours)}
    for at in instants:
        house.acme.measure("well-1", key, at, 1)
    return instants


async def complete_from(house: House) -> datetime | None:
    """What the API is shown."""
    async with house.engine.connect() as connection:
        found = await connection.execute(sa.text("select complete_from from polling_points"))
        at = found.scalar_one()
    return datetime.fromisoformat(at) if isinstance(at, str) else at


async def test_neither_a_restart_nor_another_replica_hands_anything_on_twice(house: LongHouse) -> None:
    instants = hourly(house, NOW - 12 * HOUR, 12)
    await house.round()
    house.polling = house.started()
    await house.round()
    house.polling = house.started("another")
    await house.round()
    assert house.handed_on() == dict.fromkeys(instants, 1)


async def test_a_correction_that_another_replica_handed_on_can_be_taken_back(house: LongHouse) -> None:
    mine, others = house.started("a"), house.started("b")
    for value, polling in ((1, mine), (2, others), (1, mine)):
        house.acme.measure("well-1", "q", NOW, value)
        house.polling = polling
        await house.round()
    assert house.handed_on() == {NOW: 3}


async def test_the_last_values_of_a_silent_variable_are_not_said_again(house: LongHouse) -> None:
    house.acme.measure("well-1", "v", NOW - 30 * MINUTE, 184230)
    house.acme.measure("well-1", "q", NOW - 30 * MINUTE, 1)
    await house.round()
    for day in range(1, 20):
        house.acme.measure("well-1", "q", NOW + day * DAY, 1)
        house.clock.at = NOW + day * DAY
        await house.round()
    assert house.handed_on(variable="total") == {NOW - 30 * MINUTE: 1}
    assert set(house.handed_on().values()) == {1}


async def test_a_backlog_that_came_behind_the_newest_value_is_found_within_a_day(house: LongHouse) -> None:
    first = hourly(house, NOW - 2 * HOUR, 1)
    await house.round()
    house.clock.at = NOW + 12 * HOUR
    newest = hourly(house, NOW + 12 * HOUR, 1)
    await house.round()
    backlog = hourly(house, NOW, 11)
    await house.round()
    assert set(house.handed_on()) == first | newest
    house.clock.at += DAY
    await house.round()
    assert house.handed_on() == dict.fromkeys(first | newest | backlog, 1)
    house.acme.questions.clear()
    await house.round()
    assert [question.start for question in house.acme.questions if "flow" in question.keys] == [NOW + 11 * HOUR]


async def test_a_history_that_is_wanted_comes_behind_what_is_new_and_once(house: LongHouse) -> None:
    instants = hourly(house, NOW - 60 * DAY, 60 * 24)
    house.want(NOW - 50 * DAY)
    await house.round()
    assert min(house.handed_on()) > NOW - 22 * DAY
    assert (await house.record.points())["well-1"].is_behind
    await house.rounds(3)
    assert house.handed_on() == dict.fromkeys({at for at in instants if at >= NOW - 50 * DAY}, 1)
    assert await complete_from(house) == NOW - 50 * DAY
    assert not (await house.record.points())["well-1"].is_behind
    house.want(NOW - 60 * DAY)
    house.polling = house.started()
    await house.rounds(3)
    assert house.handed_on() == dict.fromkeys(instants, 1)
    assert await complete_from(house) == NOW - 60 * DAY


async def test_a_variable_that_is_added_later_gets_the_same_history(house: LongHouse) -> None:
    flows, totals = hourly(house, NOW - 10 * DAY, 240), hourly(house, NOW - 10 * DAY, 240, "v")
    (point,) = house.fleet.points
    assert point.source is not None
    house.want(NOW - 10 * DAY)
    both = house.fleet.points
    house.fleet.points = [replace(both[0], source=replace(both[0].source, keys={"flow": "q"}))]
    await house.rounds(2)
    assert house.handed_on() == dict.fromkeys(flows, 1)
    house.fleet.points = both
    await house.rounds(2)
    assert house.handed_on() == dict.fromkeys(flows, 1)
    assert house.handed_on(variable="total") == dict.fromkeys(totals, 1)


async def test_a_past_that_is_refused_keeps_nobody_from_what_is_new(house: LongHouse) -> None:
    def too_old(question: Question) -> Outcome | None:
        is_old = question.start is not None and question.start < NOW - 5 * DAY
        return Failed(reason="answers 400: too old", is_transient=False) if is_old else None

    hourly(house, NOW - 10 * DAY, 240)
    house.acme.trouble = too_old
    house.want(NOW - 10 * DAY)
    await house.round()
    state = (await house.record.points())["well-1"]
    assert (state.failures, state.is_behind) == (0, False)
    assert state.error == "older history: answers 400: too old"
    assert state.answered_at == house.clock.at
    house.acme.measure("well-1", "q", house.clock.at, 2)
    await house.round()
    assert house.clock.at - 5 * MINUTE in house.handed_on()
    house.want(NOW - 4 * DAY)
    await house.round()
    assert (await house.record.points())["well-1"].error is None


async def test_nothing_before_the_wanted_history_is_asked_for_and_what_was_left_out_can_be_wanted(
    house: LongHouse,
) -> None:
    house.acme.measure("well-1", "q", NOW - 2 * HOUR, 1)
    await house.round()
    house.clock.at = NOW + 10 * DAY
    missed = hourly(house, NOW + HOUR, 9 * 24)
    house.want(NOW + 9 * DAY)
    house.acme.questions.clear()
    await house.round()
    assert {question.start for question in house.acme.questions} == {NOW + 9 * DAY}
    later = {at for at in missed if at >= NOW + 9 * DAY}
    assert house.handed_on() == dict.fromkeys({NOW - 2 * HOUR} | later, 1)
    house.want(NOW)
    await house.rounds(3)
    assert house.handed_on() == dict.fromkeys({NOW - 2 * HOUR} | missed, 1)


async def test_a_broker_that_goes_away_in_the_middle_of_a_past_costs_a_piece_at_most(house: LongHouse) -> None:
    instants = hourly(house, NOW - 10 * DAY, 240)
    await house.round()
    house.want(NOW - 10 * DAY)
    house.bus.is_away = True
    with pytest.raises(Transient):
        await house.round()
    house.bus.is_away = False
    await house.rounds(2)
    assert house.handed_on() == dict.fromkeys(instants, 1)


async def test_a_point_whose_source_is_away_for_a_while_goes_on_from_where_it_was(house: LongHouse) -> None:
    first = hourly(house, NOW - 2 * HOUR, 1)
    await house.round()
    point: Point = house.fleet.points[0]
    house.fleet.points, house.fleet.others = [], ["well-1"]
    await house.round()
    assert await house.record.points() == {}
    missed = hourly(house, NOW, 72)
    house.clock.at = NOW + 3 * DAY
    house.fleet.points, house.fleet.others = [replace(point, provider="acme")], []
    await house.round()
    assert house.handed_on() == dict.fromkeys(first | missed, 1)


async def test_a_row_that_cannot_be_read_is_told_under_one_name_whoever_asks(house: LongHouse) -> None:
    def broken(question: Question) -> Outcome:
        row = UnreadableRow(reason="time: is missing", payload='{"v": 1}')
        return Answered(readings=[], unreadable=[row], complete_until=question.end)

    house.acme.trouble = broken
    for holder in ("a", "a", "b"):
        house.polling = house.started(holder)
        await house.round()
    told = [message for message in house.bus.published if message.topic.endswith("/rejected")]
    rejects = [decode(message.payload, Rejected) for message in told]
    assert len(rejects) == 3
    assert len({reject.id for reject in rejects}) == 1
    assert len({reject.received_at for reject in rejects}) == 3


async def test_time_passes_between_looks_back(house: LongHouse) -> None:
    await house.round()
    first = (await house.record.points())["well-1"].looked_back_at
    await house.round()
    assert (await house.record.points())["well-1"].looked_back_at == first
    house.clock.at += timedelta(days=1)
    await house.round()
    assert (await house.record.points())["well-1"].looked_back_at == house.clock.at


@pytest.mark.parametrize("has_pause", [False, True])
async def test_what_one_provider_gave_is_not_looked_through_at_the_next(house: LongHouse, has_pause: bool) -> None:
    instants = hourly(house, NOW - 12 * HOUR, 12)
    await house.round()
    if has_pause:
        house.fleet.points, house.fleet.others = [], ["well-1"]
        await house.round()
    for at in [*instants, NOW + 6 * HOUR]:
        house.other.measure("well-1", "q", at, 1.01)
    house.fleet.points, house.fleet.others = [sourced_point("well-1", "other", KEYS)], []
    for _ in range(3):
        house.clock.at += DAY
        await house.round()
    overlap = dict.fromkeys([NOW - 2 * HOUR, NOW - HOUR], 2)
    assert house.handed_on() == dict.fromkeys(instants, 1) | overlap | {NOW + 6 * HOUR: 1}
