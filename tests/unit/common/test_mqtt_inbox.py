"""An inbox hands out arrivals in order, waits no longer than asked, and knows when it is full."""

import asyncio

from caudal.common.adapters.mqtt.inbox import Arrival, Inbox
from caudal.common.ports import Delivery


def arrival(number: int, size: int = 1) -> Arrival:
    return Arrival(number, 1, Delivery("t", bytes(size)))


def filled(inbox: Inbox, count: int, size: int = 1) -> Inbox:
    for number in range(count):
        inbox.put(arrival(number, size))
    return inbox


async def take(inbox: Inbox, at_most: int, linger_s: float = 3600.0) -> list[int]:
    async with asyncio.timeout(5):
        return [taken.mid for taken in await inbox.take(at_most, linger_s)]


async def test_a_full_batch_is_handed_out_at_once_and_in_order() -> None:
    inbox = filled(Inbox(100, 10_000), 25)
    assert await take(inbox, 10) == list(range(10))
    assert await take(inbox, 10) == list(range(10, 20))
    assert inbox.unacknowledged == 25


async def test_what_waited_during_the_last_batch_does_not_linger_again() -> None:
    inbox = filled(Inbox(100, 10_000), 5)
    await asyncio.sleep(0.02)
    assert await take(inbox, 10, linger_s=0.02) == list(range(5))


async def test_a_batch_grows_while_it_lingers() -> None:
    inbox = Inbox(100, 10_000)
    taking = asyncio.create_task(take(inbox, 3))
    for number in range(3):
        await asyncio.sleep(0)
        assert not taking.done()
        inbox.put(arrival(number))
    assert await taking == [0, 1, 2]


async def test_a_full_inbox_waits_for_nothing_more() -> None:
    by_count, by_bytes = filled(Inbox(4, 10_000), 4), filled(Inbox(100, 4000), 4, size=1000)
    assert by_count.is_full
    assert by_bytes.is_full
    assert await take(by_count, 10) == [0, 1, 2, 3]
    assert await take(by_bytes, 10) == [0, 1, 2, 3]


async def test_room_comes_back_with_acknowledgements_not_with_taking() -> None:
    inbox = filled(Inbox(4, 10_000), 4)
    taken = await inbox.take(2, 0)
    assert inbox.is_full
    inbox.settle(taken[:1])
    assert not inbox.is_full
    assert not inbox.has_room
    inbox.settle(taken[1:])
    assert inbox.has_room


async def test_a_closed_inbox_hands_out_nothing() -> None:
    inbox = filled(Inbox(4, 10_000), 3)
    waiting = asyncio.create_task(take(Inbox(4, 10_000), 1))
    inbox.close()
    assert await take(inbox, 10) == []
    assert not waiting.done()
    waiting.cancel()


async def test_closing_wakes_who_waits() -> None:
    inbox = Inbox(4, 10_000)
    waiting = asyncio.create_task(take(inbox, 1))
    await asyncio.sleep(0)
    inbox.close()
    assert await waiting == []
