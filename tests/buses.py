"""Buses for tests: run for the length of a block, and stopped in order at its end."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from caudal.common.adapters.mqtt import MqttBus
from caudal.common.ports import BatchHandler, Delivery, Outgoing, Subscription
from caudal.common.settings import MqttSettings

CONSUMER = Path(__file__).with_name("numbered_consumer.py")
"""The program of `numbered_consumer`; its last argument says after how many messages it kills itself."""
PATIENCE_S = 60.0
"""No test waits longer for what must come."""


def settings(port: int, **others: object) -> MqttSettings:
    """A broker of loopback."""
    return MqttSettings.model_validate({"mqtt_port": port, **others})


@asynccontextmanager
async def running(*buses: MqttBus) -> AsyncIterator[None]:
    """The buses connected; all stopped in order at the end."""
    tasks = [asyncio.create_task(bus.run()) for bus in buses]
    try:
        async with asyncio.timeout(PATIENCE_S):
            for bus in buses:
                await bus.connected()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def producer(port: int) -> AsyncIterator[MqttBus]:
    """A running bus that only publishes."""
    bus = MqttBus(settings(port), f"producer-{secrets.token_hex(4)}")
    async with running(bus):
        yield bus


def consumer(port: int, name: str, handler: BatchHandler, **how: Any) -> MqttBus:
    """A bus, not yet running, that serves `name/#`."""
    bus = MqttBus(settings(port), name)
    bus.subscribe(Subscription((f"{name}/#",), handler, **how))
    return bus


async def queued(port: int, name: str, count: int, size: int = 0) -> None:
    """Leave `count` numbered messages of at least `size` bytes in the session of a `consumer` that is away."""
    async with running(consumer(port, name, Box().handle)):
        pass
    async with producer(port) as bus:
        await bus.publish([Outgoing(m.topic, m.payload.zfill(size)) for m in numbered(f"{name}/t", count)])


class Box:
    """A handler that keeps what it gets, and lets a test wait for it."""

    def __init__(self, before: Callable[[Sequence[Delivery]], None] = lambda batch: None) -> None:
        self.deliveries: list[Delivery] = []
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        """Clear it to let the handler wait with its batch."""
        self.gate.set()
        self._before = before
        self._grown = asyncio.Condition()

    async def handle(self, batch: Sequence[Delivery]) -> None:
        """Keep the batch, once the gate is open and unless `before` raises."""
        await self.gate.wait()
        self._before(batch)
        self.deliveries += batch
        self.batches.append(len(batch))
        async with self._grown:
            self._grown.notify_all()

    async def holds(self, count: int) -> None:
        """Return once there are at least `count` deliveries."""
        async with asyncio.timeout(PATIENCE_S), self._grown:
            await self._grown.wait_for(lambda: len(self.deliveries) >= count)

    @property
    def numbers(self) -> list[int]:
        """The payloads, as numbers."""
        return [int(delivery.payload[-18:]) for delivery in self.deliveries]


def numbered(topic: str, count: int, start: int = 0) -> list[Outgoing]:
    """Messages whose payloads are numbers."""
    return [Outgoing(topic, b"%d" % number) for number in range(start, start + count)]


@contextmanager
def numbered_consumer(port: int, name: str, stored: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves `name/#`, connected; stopped in order at the end."""
    process = subprocess.Popen(
        [sys.executable, CONSUMER, str(port), name, f"{name}/#", stored, "0"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"connected\n"
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; for what gives no event, such as another process."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)
