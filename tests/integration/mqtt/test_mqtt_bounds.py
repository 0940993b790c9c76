"""What a subscription holds is bounded, and waiting costs nobody else anything."""

import asyncio
from collections.abc import Sequence

import pytest

from buses import Box, consumer, numbered, queued, running, settings, until
from caudal.common.adapters.mqtt import MqttBus, link
from caudal.common.ports import Delivery, Subscription
from servers.mosquitto import Mosquitto


async def test_slow_consumer_holds_a_bounded_number(mosquitto: Mosquitto, name: str) -> None:
    await queued(mosquitto.port, name, 5000)
    held: list[int] = []
    box = Box()

    async def handle_slowly(batch: Sequence[Delivery]) -> None:
        await asyncio.sleep(0.01)
        held.append(bus.unacknowledged["main"])
        await box.handle(batch)

    bus = consumer(mosquitto.port, name, handle_slowly, max_batch=50)
    async with running(bus):
        await box.holds(5000)
    assert 50 < max(held) <= 100
    assert box.numbers == list(range(5000))
    assert max(box.batches) <= 50


async def test_large_messages_are_bounded_by_bytes(mosquitto: Mosquitto, name: str) -> None:
    await queued(mosquitto.port, name, 200, size=50_000)
    box = Box()
    box.gate.clear()
    bus = consumer(mosquitto.port, name, box.handle, bytes_pending=1_000_000)
    async with running(bus):
        await until(lambda: bus.unacknowledged["main"] >= 20)
        await asyncio.sleep(0.1)
        assert bus.unacknowledged["main"] == 20
        box.gate.set()
        await box.holds(200)
    assert box.numbers == list(range(200))


async def test_pause_longer_than_the_keepalive_keeps_the_connection(
    mosquitto: Mosquitto, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "KEEPALIVE_S", 1)
    await queued(mosquitto.port, name, 1000)
    box = Box()
    box.gate.clear()
    bus = consumer(mosquitto.port, name, box.handle, max_batch=50)
    async with running(bus):
        await until(lambda: bus.unacknowledged["main"] >= 100)
        await asyncio.sleep(4.5)
        box.gate.set()
        await box.holds(1000)
    assert box.numbers == list(range(1000)), "nothing came twice: the connection held"


async def test_waiting_subscription_delays_no_other(mosquitto: Mosquitto, name: str) -> None:
    stuck, free = Box(), Box()
    stuck.gate.clear()
    bus = MqttBus(settings(mosquitto.port), name)
    bus.subscribe(Subscription((f"{name}/stuck",), stuck.handle, max_batch=10, name="stuck"))
    bus.subscribe(Subscription((f"{name}/free",), free.handle, name="free"))
    async with running(bus):
        await bus.publish(numbered(f"{name}/stuck", 500))
        await bus.publish(numbered(f"{name}/free", 500))
        await free.holds(500)
        assert stuck.deliveries == []
        stuck.gate.set()
        await stuck.holds(500)


def test_two_subscriptions_cannot_have_one_name(mosquitto: Mosquitto) -> None:
    async def build() -> None:
        bus = MqttBus(settings(mosquitto.port), "twins")
        bus.subscribe(Subscription(("a",), Box().handle))
        with pytest.raises(ValueError, match="named 'main'"):
            bus.subscribe(Subscription(("b",), Box().handle))

    asyncio.run(build())
