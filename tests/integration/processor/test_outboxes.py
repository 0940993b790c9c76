"""The outbox of a sink: what is handed on past the table, and what only the table may say."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.common.bus import codec
from caudal.common.bus.messages import ProcessedReadings, RawReading, RawReadings
from caudal.common.domain.catalog import Point, Variable, VariableType
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Outgoing
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.processor.adapters.outboxes import FORGET_AT, LEFT_ENTRIES, PostgresOutbox
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.ports import Entry, Letter, Outbox, Sink

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
async def ledger(engine: AsyncEngine) -> AsyncIterator[SqlLedger]:
    async with aclosing(SqlLedger(engine, is_alone=True)) as ledger:
        yield ledger


@pytest.fixture
async def outbox(ledger: SqlLedger) -> Outbox:
    """Held, and known to be empty."""
    outbox = ledger.outbox(Sink.BUS)
    assert await outbox.hold()
    assert await outbox.next(8, forget=[]) == []
    return outbox


def entry(name: str) -> Entry:
    return Entry(messages=[Outgoing(f"telemetry/{name}/processed", name.encode())])


async def leave(ledger: SqlLedger, *names: str) -> None:
    """One unit that tells of these."""
    async with ledger.unit() as unit:
        for name in names:
            await unit.enqueue(Sink.BUS, entry(name))


def said(letters: list[Letter]) -> list[bytes]:
    return [message.payload for letter in letters for told in letter.entries for message in told.messages]


async def test_letters_come_in_the_order_in_which_they_were_left(ledger: SqlLedger, outbox: Outbox) -> None:
    for name in ("a", "b", "c"):
        await leave(ledger, name)
    first = await outbox.next(2, forget=[])
    rest = await outbox.next(2, forget=[letter.number for letter in first])
    assert [said(first), said(rest)] == [[b"a", b"b"], [b"c"]]


async def test_a_letter_that_could_not_be_told_comes_again(ledger: SqlLedger, outbox: Outbox) -> None:
    await leave(ledger, "a")
    assert said(await outbox.next(8, forget=[])) == [b"a"]
    await leave(ledger, "b")
    assert said(await outbox.next(8, forget=[])) == [b"a", b"b"]


async def test_what_was_told_is_forgotten_for_good(ledger: SqlLedger, outbox: Outbox, engine: AsyncEngine) -> None:
    for number in range(FORGET_AT + 2):
        await leave(ledger, str(number))
        [letter] = await outbox.next(8, forget=[])
        await outbox.next(0, forget=[letter.number])
    async with transaction(engine) as connection:
        assert (await connection.execute(text("select count(*) from processor_outbox"))).scalar_one() == 0
    assert await outbox.next(8, forget=[]) == []


async def test_what_another_left_is_found_beside_what_is_our_own(
    ledger: SqlLedger, outbox: Outbox, engine: AsyncEngine
) -> None:
    async with aclosing(SqlLedger(engine)) as another:
        await leave(another, "theirs")
    told: list[bytes] = []
    forget: list[int] = []
    for number in range(FORGET_AT + 1):
        await leave(ledger, str(number))
        letters = await outbox.next(8, forget=forget)
        forget = [letter.number for letter in letters]
        told += said(letters)
    assert sorted(told) == sorted([b"theirs", *(str(number).encode() for number in range(FORGET_AT + 1))])


async def test_who_held_it_before_has_told_nothing(ledger: SqlLedger, outbox: Outbox, engine: AsyncEngine) -> None:
    """What a holder was given and had not forgotten when it let go is told by the next one."""
    await leave(ledger, "a")
    await leave(ledger, "b")
    assert len(await outbox.next(1, forget=[])) == 1
    await outbox.release()
    async with aclosing(SqlLedger(engine)) as another:
        assert await another.outbox(Sink.BUS).hold()
        assert said(await another.outbox(Sink.BUS).next(8, forget=[])) == [b"a", b"b"]
        await another.outbox(Sink.BUS).release()
    assert await outbox.hold()
    assert said(await outbox.next(8, forget=[])) == [b"a", b"b"]


async def test_more_than_fits_is_left_to_the_table(ledger: SqlLedger, outbox: Outbox) -> None:
    many = [str(number) for number in range(3 * LEFT_ENTRIES)]
    for first in range(0, len(many), 16):
        await leave(ledger, *many[first : first + 16])
    told: list[bytes] = []
    forget: list[int] = []
    while letters := await outbox.next(8, forget=forget):
        forget = [letter.number for letter in letters]
        told += said(letters)
    assert told == [name.encode() for name in many]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_what_was_just_committed_needs_no_look_at_the_table(
    ledger: SqlLedger, outbox: Outbox, engine: AsyncEngine
) -> None:
    await leave(ledger, "a")
    async with transaction(engine) as connection:
        await connection.execute(text("delete from processor_outbox"))
    assert said(await outbox.next(8, forget=[])) == [b"a"]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_what_the_table_gave_is_not_handed_on_when_its_unit_reports_it(
    ledger: SqlLedger, outbox: Outbox, engine: AsyncEngine
) -> None:
    """Else an old version of a row could be told behind a newer one that is told and forgotten already."""
    assert isinstance(outbox, PostgresOutbox)
    async with aclosing(SqlLedger(engine)) as another:
        await leave(another, "a")
    [letter] = await outbox.next(8, forget=[])
    assert await outbox.next(8, forget=[letter.number]) == []
    outbox.leave([letter], outbox.tenure)
    assert await outbox.next(8, forget=[]) == []


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_what_another_may_have_told_meanwhile_is_not_handed_on(
    ledger: SqlLedger, outbox: Outbox, engine: AsyncEngine
) -> None:
    """A unit's report comes late: another held the outbox between its commit and now, told it and forgot it."""
    assert isinstance(outbox, PostgresOutbox)
    before = outbox.tenure
    await outbox.release()
    async with aclosing(SqlLedger(engine)) as another:
        await leave(another, "a")
        theirs = another.outbox(Sink.BUS)
        assert await theirs.hold()
        [letter] = await theirs.next(8, forget=[])
        assert await theirs.next(8, forget=[letter.number]) == []
        await theirs.release()
    assert await outbox.hold()
    outbox.leave([letter], before)
    assert await outbox.next(8, forget=[]) == []
    assert await outbox.next(8, forget=[]) == []


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_correction_waits_behind_what_another_said_of_the_same_row(
    ledger: SqlLedger, outbox: Outbox, engine: AsyncEngine
) -> None:
    catalog = MemoryCatalog([Point(code="W", device="m", variables=(Variable(code="flow", type=VariableType.FLOW),))])
    async with aclosing(SqlLedger(engine)) as another:
        await keep(Desk(another, catalog), [flow_of(5.0, received_at=NOON)])
    await keep(Desk(ledger, catalog), [flow_of(7.0, received_at=NOON + timedelta(hours=1))])
    told = [codec.decode(payload, ProcessedReadings) for payload in said(await outbox.next(8, forget=[]))]
    assert [message.readings[0].values["flow"].value for message in told] == [5.0, 7.0]


def flow_of(lps: float, received_at: datetime) -> RawReadings:
    reading = RawReading(measured_at=NOON, received_at=received_at, values={"flow": lps}, payload="{}")
    return RawReadings(device="m", inlet=Inlet.UPLINK, readings=[reading])
