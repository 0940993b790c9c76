"""What the telemetry store and the bus are told of the ledger: once, in order, and again when it was lost."""

from collections.abc import Sequence
from contextlib import aclosing

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.domain.errors import Transient
from caudal.common.domain.readings import Flag
from caudal.common.ports import SeriesRow
from caudal.common.testing.memory_store import MemoryStore
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.handlers.telling import BUS_REMEMBERS_S, Teller, bus_teller, store_teller
from caudal.processor.ports import Sink
from integration.processor.well import HOUR, START, Listener, bundle, reading


async def test_what_is_told_of_a_correction_is_an_amendment(
    desk: Desk, ledger: SqlLedger, to_bus: Teller, listener: Listener
) -> None:
    await keep(desk, [bundle(reading(0, total=1000), reading(1, total=0))])
    await to_bus.step()
    await keep(desk, [bundle(reading(2, total=1100))])
    await to_bus.step()
    first, second = listener.processed
    assert [r.amends for r in first.readings] == [False, False]
    assert [(r.measured_at, r.amends) for r in second.readings] == [(START + HOUR, True), (START + 2 * HOUR, False)]
    assert second.readings[0].values["total"].flags == [Flag.GLITCH]


async def test_an_alert_is_raised_once_with_an_id_of_its_own(
    desk: Desk, ledger: SqlLedger, to_bus: Teller, listener: Listener
) -> None:
    await keep(desk, [bundle(reading(0, total=1000), reading(1, total=50), reading(2, total=60))])
    await keep(desk, [bundle(reading(1, received=8, total=50))])
    await to_bus.step()
    assert [(alert.rule, alert.measured_at) for alert in listener.alerts] == [("ZERO_TOTAL_RESET", START + HOUR)]
    assert listener.alerts[0].id == f"WELL-1/total/ZERO_TOTAL_RESET/{(START + HOUR).isoformat()}"


async def test_a_fall_is_an_alert_only_once_it_is_confirmed(
    desk: Desk, ledger: SqlLedger, to_bus: Teller, listener: Listener
) -> None:
    for hour, count in enumerate([1000, 0, 1100, 40]):
        await keep(desk, [bundle(reading(hour, total=count))])
        await to_bus.step()
    assert listener.alerts == []
    await keep(desk, [bundle(reading(4, total=60))])
    await to_bus.step()
    assert [(alert.rule, alert.measured_at) for alert in listener.alerts] == [("ZERO_TOTAL_RESET", START + 3 * HOUR)]


async def test_nothing_is_forgotten_when_the_sink_is_away(
    desk: Desk, ledger: SqlLedger, store: MemoryStore, to_store: Teller
) -> None:
    class Away:
        async def write(self, rows: Sequence[SeriesRow]) -> None:
            raise Transient("away")

    await keep(desk, [bundle(reading(0, total=100))])
    with pytest.raises(Transient):
        await store_teller(ledger, Away(), lambda: 0.0).step()
    assert await to_store.step() == 1
    assert await to_store.step() == 0


async def test_a_sink_is_told_by_one_at_a_time(ledger: SqlLedger, engine: AsyncEngine) -> None:
    async with aclosing(SqlLedger(engine)) as another:
        assert await ledger.outbox(Sink.BUS).hold()
        assert await another.outbox(Sink.BUS).hold() is None
        assert await another.outbox(Sink.STORE).hold()
        await ledger.outbox(Sink.BUS).release()
        assert await another.outbox(Sink.BUS).hold()


async def test_who_dies_lets_go_of_the_outbox(ledger: SqlLedger, engine: AsyncEngine) -> None:
    async with aclosing(SqlLedger(engine)) as another:
        assert await ledger.outbox(Sink.BUS).hold()
        await ledger.aclose()
        assert await another.outbox(Sink.BUS).hold()


async def test_what_was_told_lately_is_told_again_to_a_broker_that_may_have_forgotten_it(
    desk: Desk, ledger: SqlLedger, listener: Listener, engine: AsyncEngine
) -> None:
    seconds = 0.0
    teller = bus_teller(ledger, listener, lambda: seconds, lambda: listener.incarnation)
    for hour in (0, 1):
        seconds = hour * BUS_REMEMBERS_S / 2
        await keep(desk, [bundle(reading(hour, total=100 + hour))])
        assert await teller.step() == 1
    seconds = BUS_REMEMBERS_S
    assert await teller.step() == 0
    listener.incarnation += 1
    await keep(desk, [bundle(reading(2, total=102))])
    assert await teller.step() == 1
    hours = [(message.readings[0].measured_at - START) // HOUR for message in listener.processed]
    assert hours == [0, 1, 1, 2]
    assert await teller.step() == 0
    async with engine.connect() as connection:
        left = await connection.execute(text("select count(*) from processor_outbox where sink = 'bus'"))
        assert left.scalar_one() == 0
