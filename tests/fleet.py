"""Devices that number their readings and remember what the broker acknowledged."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiomqtt

logging.getLogger("mqtt").setLevel(logging.ERROR)

AT_ONCE = 100
"""Readings in flight at most."""
TIMEOUT_S = 3.0
"""A PUBACK that did not come in this time is not coming; the reading is sent again."""

Reading = tuple[str, int]
"""Device and number."""


class Fleet:
    """Meters that give one pulse a minute, speaking MQTT by themselves: none of our code is in them."""

    def __init__(self, port: int, devices: int, name: str = "meter") -> None:
        self.port = port
        self.devices = [f"{name}-{i}" for i in range(devices)]
        self.start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
        self.sent = 0
        self.acknowledged: dict[Reading, float] = {}
        """When the broker said it had it, by `time.monotonic`."""
        self._spool: dict[Reading, None] = {}
        """Readings to be sent, or to be sent again."""

    def at(self, number: int) -> datetime:
        """When reading `number` was measured."""
        return self.start + timedelta(minutes=number)

    def number(self, at: datetime) -> int:
        """The number of the reading measured at `at`."""
        return round((at - self.start) / timedelta(minutes=1))

    @staticmethod
    def values(number: int) -> dict[str, float]:
        """What reading `number` says."""
        return {"total": 1000 + number, "flow": round(0.16 + number % 10 / 1000, 3)}

    @staticmethod
    def stored(number: int) -> dict[str, float]:
        """What is to be stored of it: a pulse is 0.01 m³."""
        return {"total": (1000 + number) * 0.01, "flow": round(0.16 + number % 10 / 1000, 3)}

    def payload(self, number: int) -> bytes:
        """Reading `number` in the canonical form."""
        return json.dumps({"measured_at": self.at(number).isoformat(), "values": self.values(number)}).encode()

    async def send(self, rate_per_s: float, enough: asyncio.Event) -> None:
        """Send new readings at this rate until `enough`, through all outages; return once all are acknowledged."""
        begun, before = time.monotonic(), self.sent
        while not enough.is_set() or self._spool:
            try:
                async with self._connected() as client:
                    while not enough.is_set() or self._spool:
                        if not enough.is_set():
                            self._measure(before + round((time.monotonic() - begun) * rate_per_s) - self.sent)
                        sending = [self._publish(client, reading) for reading in list(self._spool)[:AT_ONCE]]
                        await asyncio.gather(*sending)
                        await asyncio.sleep(0 if len(self._spool) >= AT_ONCE else 0.02)
            except* aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiomqtt.Client]:
        """A connection; the block is left with `MqttError` as soon as it is lost."""
        async with aiomqtt.Client("127.0.0.1", self.port, timeout=TIMEOUT_S) as client, asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(_listen(client))
            yield client
            listening.cancel()

    def send_again(self, acknowledged_between: tuple[float, float]) -> None:
        """Spool once more what was acknowledged in this time."""
        first, last = acknowledged_between
        self._spool |= {reading: None for reading, at in self.acknowledged.items() if first <= at <= last}

    def _measure(self, count: int) -> None:
        for _ in range(max(0, count)):
            number, device = divmod(self.sent, len(self.devices))
            self._spool[(self.devices[device], number)] = None
            self.sent += 1

    async def _publish(self, client: aiomqtt.Client, reading: Reading) -> None:
        device, number = reading
        await client.publish(f"telemetry/{device}/uplink", self.payload(number), qos=1)
        self.acknowledged.setdefault(reading, time.monotonic())
        self._spool.pop(reading, None)


async def _listen(client: aiomqtt.Client) -> None:
    """Hear nothing; the driver tells who listens, and nobody else, that the connection is lost."""
    async for _ in client.messages:
        pass
