"""The bus without a broker treats handlers as the real one does."""

from collections.abc import Sequence

import pytest

from caudal.common.domain.errors import Transient
from caudal.common.ports import Delivery, Outgoing, Subscription
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus


async def test_published_messages_reach_who_subscribed_and_no_other() -> None:
    got: list[bytes] = []

    async def handle(batch: Sequence[Delivery]) -> None:
        got.extend(delivery.payload for delivery in batch)

    bus = MemoryBus()
    bus.subscribe(Subscription(("$share/group/telemetry/+/raw",), handle, max_batch=2))
    await bus.publish([Outgoing("telemetry/a/raw", b"%d" % number) for number in range(5)])
    await bus.publish([Outgoing("telemetry/a/alert", b"x")])
    await bus.deliver_published()
    assert got == [b"0", b"1", b"2", b"3", b"4"]
    assert [message.payload for message in bus.on("telemetry/+/alert")] == [b"x"]


async def test_messages_can_come_again() -> None:
    got: list[bytes] = []

    async def handle(batch: Sequence[Delivery]) -> None:
        got.extend(delivery.payload for delivery in batch)

    bus = MemoryBus()
    bus.subscribe(Subscription(("#",), handle))
    await bus.deliver(Delivery("t", b"1"), Delivery("t", b"2"), times=2)
    assert got == [b"1", b"2", b"1", b"2"]


async def test_poison_is_put_away_and_the_rest_acknowledged() -> None:
    put_away: list[tuple[bytes, str]] = []

    async def handle(batch: Sequence[Delivery]) -> None:
        if any(delivery.payload == b"bad" for delivery in batch):
            raise ValueError("no reading")

    async def keep(delivery: Delivery, reason: str) -> None:
        put_away.append((delivery.payload, reason))

    bus = MemoryBus(on_poison=keep)
    bus.subscribe(Subscription(("#",), handle))
    await bus.deliver(Delivery("t", b"good"), Delivery("t", b"bad"), Delivery("t", b"fine"))
    assert put_away == [(b"bad", "ValueError: no reading")]
    assert [delivery.payload for delivery in bus.acknowledged] == [b"good", b"bad", b"fine"]


async def test_broker_can_be_away() -> None:
    bus = MemoryBus()
    bus.away = True
    with pytest.raises(Transient):
        await bus.publish([Outgoing("t", b"")])
    assert bus.published == []


def test_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock()
    before = clock.now()
    assert clock.now() == before
    assert (clock.advance(hours=2) - before).total_seconds() == 7200
    assert clock.now().tzinfo is not None
