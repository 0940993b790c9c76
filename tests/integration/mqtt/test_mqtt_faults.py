"""Brokers that go, freeze and refuse."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from buses import PATIENCE_S, Box, consumer, numbered, producer, queued, running, settings, until
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.adapters.mqtt import window as publishing
from caudal.common.domain.errors import Transient
from caudal.common.metrics import BusMetrics
from caudal.common.ports import Delivery, Outgoing, Subscription
from servers.mosquitto import Mosquitto


async def away(bus: MqttBus) -> None:
    """Return once the bus knows that its broker is away."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await bus.check()
            except Transient:
                return
            await asyncio.sleep(0.01)


async def test_bus_goes_on_after_the_broker_was_restarted(own_mosquitto: Mosquitto, name: str) -> None:
    box = Box()
    metrics = BusMetrics(registry := CollectorRegistry())
    bus = MqttBus(settings(own_mosquitto.port), name, metrics=metrics)
    bus.subscribe(Subscription((f"{name}/#",), box.handle))
    connected = {"session": f"{name}-main"}
    async with running(bus):
        await bus.publish(numbered(f"{name}/t", 100))
        await box.holds(100)
        own_mosquitto.stop()
        with pytest.raises(Transient):
            await bus.publish(numbered(f"{name}/t", 1, start=100))
        await away(bus)
        await until(lambda: registry.get_sample_value("caudal_bus_connected", connected) == 0)
        own_mosquitto.start()
        async with asyncio.timeout(PATIENCE_S):
            await bus.connected()
        await bus.publish(numbered(f"{name}/t", 100, start=100))
        await until(lambda: 199 in box.numbers)
    assert list(dict.fromkeys(box.numbers)) == list(range(200)), "what the broker had not heard of comes twice"


async def test_nothing_is_acknowledged_across_a_reconnect(own_mosquitto: Mosquitto, name: str) -> None:
    await queued(own_mosquitto.port, name, 30)
    box = Box()
    box.gate.clear()
    bus = consumer(own_mosquitto.port, name, box.handle, max_batch=20)
    async with running(bus):
        await until(lambda: bus.unacknowledged["main"] == 30)
        own_mosquitto.stop()
        await away(bus)
        own_mosquitto.start()
        box.gate.set()
        await box.holds(50)
    assert box.numbers == [*range(20), *range(30)], "the batch in hand comes again, then all the rest in order"


async def test_frozen_broker_is_noticed_and_left(
    own_mosquitto: Mosquitto, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PUBACK_TIMEOUT_S", 0.5)
    box = Box()
    bus = consumer(own_mosquitto.port, name, box.handle)
    async with running(bus):
        own_mosquitto.freeze()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await bus.check()
        with pytest.raises(Transient, match="acknowledged nothing"):
            await bus.publish(numbered(f"{name}/t", 1))
        own_mosquitto.thaw()
        async with asyncio.timeout(PATIENCE_S):
            await bus.connected()
        await bus.publish(numbered(f"{name}/t", 1, start=1))
        await until(lambda: 1 in box.numbers)


async def test_poison_waits_until_it_can_be_put_away(mosquitto: Mosquitto, name: str) -> None:
    tries: list[bytes] = []

    async def keep(delivery: Delivery, reason: str) -> None:
        tries.append(delivery.payload)
        if len(tries) < 3:
            raise Transient("the broker is away", retry_after_s=0.02)

    def refuse(batch: Sequence[Delivery]) -> None:
        if any(delivery.payload == b"1" for delivery in batch):
            raise KeyError("no such field")

    box = Box(refuse)
    bus = MqttBus(settings(mosquitto.port), name, on_poison=keep)
    bus.subscribe(Subscription((f"{name}/#",), box.handle))
    async with running(bus):
        await bus.publish(numbered(f"{name}/t", 3))
        await box.holds(2)
    assert tries == [b"1"] * 3
    assert box.numbers == [0, 2]


async def test_refused_publish_is_told(tmp_path: Path, name: str) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite {name}/#\n")
    with Mosquitto(tmp_path / "mosquitto", f"acl_file {rules}\n") as broker:
        async with producer(broker.port) as bus:
            await bus.publish([Outgoing(f"{name}/mine", b"")])
            with pytest.raises(Transient, match="refused: Not authorized"):
                await bus.publish([Outgoing("theirs", b"")])
