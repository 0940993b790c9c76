"""Every delivery is settled once, in order: handled, tried again, or put away alone."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from caudal.common.bus.settling import PoisonHandler, Settler
from caudal.common.domain.errors import InvalidInput, Transient
from caudal.common.metrics import BusMetrics
from caudal.common.ports import BatchHandler, Delivery


def deliveries(count: int) -> list[Delivery]:
    return [Delivery("t", b"%d" % number) for number in range(count)]


class Ending:
    """What became of deliveries, in the order in which it was decided."""

    def __init__(self) -> None:
        self.handled: list[bytes] = []
        self.put_away: dict[bytes, str] = {}
        self.acknowledged = 0

    async def keep(self, delivery: Delivery, reason: str) -> None:
        self.put_away[delivery.payload] = reason

    def acknowledge(self, count: int) -> None:
        self.acknowledged += count
        assert self.acknowledged == len(self.handled) + len(self.put_away), (
            "acknowledged as soon as settled, not before"
        )


async def settle(
    ending: Ending, batch: Sequence[Delivery], handler: BatchHandler, on_poison: PoisonHandler | None = None
) -> None:
    settler = Settler("raw", handler, on_poison or ending.keep)
    await settler.settle(batch, ending.acknowledge, asyncio.Event())


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 60), st.sets(st.integers(0, 59)), st.sets(st.integers(0, 59), max_size=5))
def test_any_mix_of_poison_and_outages_settles_all_in_order(count: int, poison: set[int], outages: set[int]) -> None:
    ending = Ending()
    tries = 0

    async def handle(batch: Sequence[Delivery]) -> None:
        nonlocal tries
        tries += 1
        if tries in outages:
            raise Transient("away", retry_after_s=0.0)
        if any(int(delivery.payload) in poison for delivery in batch):
            raise InvalidInput("flow", "is a boolean")
        ending.handled += [delivery.payload for delivery in batch]

    asyncio.run(settle(ending, deliveries(count), handle))
    assert [int(payload) for payload in ending.handled] == [n for n in range(count) if n not in poison]
    assert sorted(int(payload) for payload in ending.put_away) == sorted(n for n in poison if n < count)
    assert ending.acknowledged == count


async def test_one_poison_among_a_thousand_takes_few_calls() -> None:
    ending, calls = Ending(), 0

    async def handle(batch: Sequence[Delivery]) -> None:
        nonlocal calls
        calls += 1
        if any(delivery.payload == b"777" for delivery in batch):
            raise KeyError("flow")
        ending.handled += [delivery.payload for delivery in batch]

    await settle(ending, deliveries(1000), handle)
    assert calls <= 2 * 10 + 2
    assert ending.put_away == {b"777": "KeyError: 'flow'"}
    assert len(ending.handled) == 999


async def test_nothing_more_is_tried_once_all_is_given_up() -> None:
    ending, given_up = Ending(), asyncio.Event()

    async def handle(batch: Sequence[Delivery]) -> None:
        given_up.set()
        raise Transient("away", retry_after_s=60.0)

    settler = Settler("raw", handle, ending.keep)
    async with asyncio.timeout(5):
        await settler.settle(deliveries(5), ending.acknowledge, given_up)
    assert ending.acknowledged == 0
    assert settler.trouble == "away"


async def test_poison_that_cannot_be_put_away_is_not_acknowledged() -> None:
    ending, given_up = Ending(), asyncio.Event()

    async def handle(batch: Sequence[Delivery]) -> None:
        raise ValueError("poison")

    async def keep(delivery: Delivery, reason: str) -> None:
        given_up.set()
        raise OSError("disk full")

    settler = Settler("raw", handle, keep)
    async with asyncio.timeout(5):
        await settler.settle(deliveries(1), ending.acknowledge, given_up)
    assert ending.acknowledged == 0


async def test_cancellation_passes_through() -> None:
    ending = Ending()

    async def handle(batch: Sequence[Delivery]) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await settle(ending, deliveries(3), handle)
    assert ending.acknowledged == 0
    assert ending.put_away == {}


async def test_what_happens_is_counted() -> None:
    registry = CollectorRegistry()
    ending, tries = Ending(), 0

    async def handle(batch: Sequence[Delivery]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Transient("away", retry_after_s=0.0)
        if len(batch) > 1 or batch[0].payload == b"1":
            raise ValueError("poison")
        ending.handled += [delivery.payload for delivery in batch]

    settler = Settler("raw", handle, ending.keep, BusMetrics(registry))
    await settler.settle(deliveries(2), ending.acknowledge, asyncio.Event())
    labels = {"subscription": "raw"}
    assert registry.get_sample_value("caudal_bus_retries_total", labels) == 1
    assert registry.get_sample_value("caudal_bus_poison_total", labels) == 1
    assert registry.get_sample_value("caudal_bus_batch_size_count", labels) == 4
