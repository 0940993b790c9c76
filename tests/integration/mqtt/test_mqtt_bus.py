"""The bus keeps its promises on every broker that Caudal runs on."""

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from buses import (
    CONSUMER,
    PATIENCE_S,
    Box,
    consumer,
    numbered,
    numbered_consumer,
    producer,
    queued,
    running,
    settings,
    until,
)
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus.codec import MAX_MESSAGE_BYTES
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.ports import Delivery, Outgoing, Subscription
from servers.process import Server


async def test_messages_arrive_once_and_in_order(broker: Server, name: str) -> None:
    box = Box()
    async with producer(broker.port) as bus, running(consumer(broker.port, name, box.handle)):
        await bus.publish(numbered(f"{name}/t", 3000))
        await box.holds(3000)
    assert box.numbers == list(range(3000))


async def test_what_comes_while_away_is_kept(broker: Server, name: str) -> None:
    await queued(broker.port, name, 500)
    box = Box()
    async with running(consumer(broker.port, name, box.handle)):
        await box.holds(500)
    assert box.numbers == list(range(500))


async def test_killed_consumer_loses_nothing(broker: Server, name: str, tmp_path: Path) -> None:
    await queued(broker.port, name, 200)
    stored = tmp_path / "stored"
    for dies_after in (10, 33, 1, 90):
        process = subprocess.run(
            [sys.executable, CONSUMER, str(broker.port), name, f"{name}/#", stored, str(dies_after)],
            timeout=PATIENCE_S,
            check=False,
        )
        assert process.returncode == -9
    with numbered_consumer(broker.port, name, stored):
        await until(lambda: b"199\n" in stored.read_bytes())
    numbers = [int(line) for line in stored.read_text().split()]
    assert set(numbers) == set(range(200))
    jumps = [(before, after) for before, after in itertools.pairwise(numbers) if after != before + 1]
    assert all(after <= before for before, after in jumps), "it only ever goes back, never over something"
    assert len(numbers) - 200 <= 4 * 7, "no more than the batch in hand comes again"


async def test_transient_batch_is_tried_again_in_order(broker: Server, name: str) -> None:
    failures = iter([True, True, False, True])

    def fail(batch: Sequence[Delivery]) -> None:
        if next(failures, False):
            raise Transient("the database is away", retry_after_s=0.05)

    box = Box(fail)
    async with producer(broker.port) as bus, running(consumer(broker.port, name, box.handle, max_batch=10)):
        await bus.publish(numbered(f"{name}/t", 50))
        await box.holds(50)
    assert box.numbers == list(range(50))


async def test_poison_is_put_away_and_blocks_nothing(broker: Server, name: str) -> None:
    poison = {b"0", b"17", b"18", b"99"}
    put_away: list[tuple[bytes, str]] = []

    def refuse(batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            if delivery.payload in poison:
                raise ValueError(f"cannot take {delivery.payload.decode()}")

    async def keep(delivery: Delivery, reason: str) -> None:
        put_away.append((delivery.payload, reason))

    box = Box(refuse)
    bus = MqttBus(settings(broker.port), name, on_poison=keep)
    bus.subscribe(Subscription((f"{name}/#",), box.handle))
    async with producer(broker.port) as publisher, running(bus):
        await publisher.publish(numbered(f"{name}/t", 101))
        await box.holds(97)
    assert box.numbers == [number for number in range(101) if b"%d" % number not in poison]
    assert put_away == [(payload, f"ValueError: cannot take {payload.decode()}") for payload in sorted(poison, key=int)]
    again = Box()
    async with running(consumer(broker.port, name, again.handle)):
        pass
    assert again.numbers == []


async def test_publishing_from_a_handler_never_waits_for_itself(broker: Server, name: str) -> None:
    await queued(broker.port, name, 5000)
    box = Box()

    async def pass_on(batch: Sequence[Delivery]) -> None:
        await bus.publish([Outgoing(f"{name}-out/t", delivery.payload) for delivery in batch for _ in range(2)])

    bus = consumer(broker.port, name, pass_on, max_batch=50)
    async with running(consumer(broker.port, f"{name}-out", box.handle)), running(bus):
        await box.holds(10_000)
    assert box.numbers == [number for number in range(5000) for _ in range(2)]


async def test_session_that_has_more_queued_than_in_flight_subscribes_again(broker: Server, name: str) -> None:
    """iotcore answers a second SUBSCRIBE only once some of what it sent is acknowledged."""
    await queued(broker.port, name, 500)
    box = Box()
    box.gate.clear()
    async with running(consumer(broker.port, name, box.handle)):
        box.gate.set()
        await box.holds(500)
        async with producer(broker.port) as bus:
            await bus.publish(numbered(f"{name}/t", 10, start=500))
        await box.holds(510)
    assert box.numbers == list(range(510))


async def test_shared_subscription_gives_each_message_to_one(broker: Server, name: str) -> None:
    boxes = [Box(), Box()]
    buses = []
    for number, box in enumerate(boxes):
        bus = MqttBus(settings(broker.port), f"{name}-{number}")
        bus.subscribe(Subscription((f"$share/{name}/{name}/+",), box.handle))
        buses.append(bus)
    async with producer(broker.port) as publisher, running(*buses):
        await publisher.publish([Outgoing(f"{name}/{n % 20}", b"%d" % n) for n in range(1000)])
        await until(lambda: sum(len(box.deliveries) for box in boxes) >= 1000)
    assert sorted(boxes[0].numbers + boxes[1].numbers) == list(range(1000))
    assert all(box.deliveries for box in boxes)


async def test_oversize_message_is_refused_before_it_is_sent(broker: Server, name: str) -> None:
    box = Box()
    async with producer(broker.port) as bus, running(consumer(broker.port, name, box.handle)):
        with pytest.raises(Permanent, match="bytes are more than"):
            await bus.publish([Outgoing(f"{name}/t", b"1"), Outgoing(f"{name}/t", bytes(MAX_MESSAGE_BYTES + 1))])
        with pytest.raises(Permanent, match="no topic"):
            await bus.publish([Outgoing(f"{name}/+", b"2")])
        await bus.publish([Outgoing(f"{name}/t", b"0" * MAX_MESSAGE_BYTES)])
        await box.holds(1)
    assert [len(delivery.payload) for delivery in box.deliveries] == [MAX_MESSAGE_BYTES]


async def test_stopping_finishes_and_acknowledges_the_batch_in_hand(broker: Server, name: str) -> None:
    await queued(broker.port, name, 20)
    box = Box()
    box.gate.clear()
    bus = consumer(broker.port, name, box.handle, max_batch=10)
    task = asyncio.create_task(bus.run())
    await until(lambda: bus.unacknowledged["main"] == 20)
    task.cancel()
    await asyncio.sleep(0)
    box.gate.set()
    await asyncio.wait([task])
    assert box.numbers == list(range(10))
    rest = Box()
    async with running(consumer(broker.port, name, rest.handle)):
        await rest.holds(10)
    assert rest.numbers == list(range(10, 20))


async def test_last_will_tells_of_a_killed_process_only(broker: Server, name: str, tmp_path: Path) -> None:
    box = Box()
    watcher = MqttBus(settings(broker.port), f"{name}-watcher")
    watcher.subscribe(Subscription((f"wills/{name}",), box.handle))
    async with running(watcher), producer(broker.port) as bus:
        with numbered_consumer(broker.port, name, tmp_path / "stored"):
            pass
        await bus.publish([Outgoing(f"wills/{name}", b"left in order")])
        await box.holds(1)
        with numbered_consumer(broker.port, name, tmp_path / "stored") as process:
            process.kill()
        await box.holds(2)
    assert [delivery.payload for delivery in box.deliveries] == [b"left in order", b"gone"]


async def test_retained_message_is_marked(broker: Server, name: str) -> None:
    box = Box()
    async with producer(broker.port) as bus:
        await bus.publish([Outgoing(f"{name}/t", b"1", retain=True)])
        async with running(consumer(broker.port, name, box.handle)):
            await box.holds(1)
            await bus.publish([Outgoing(f"{name}/t", b"2")])
            await box.holds(2)
        await bus.publish([Outgoing(f"{name}/t", b"", retain=True)])
    assert [(delivery.payload, delivery.retained) for delivery in box.deliveries] == [(b"1", True), (b"2", False)]


async def test_readiness_names_the_state_of_each_subscription(broker: Server, name: str) -> None:
    bus = consumer(broker.port, name, Box().handle)
    with pytest.raises(Transient, match="not connected yet"):
        await bus.check()
    async with running(bus):
        assert await bus.check() == {"main": "ok"}
    with pytest.raises(Transient):
        await bus.check()
