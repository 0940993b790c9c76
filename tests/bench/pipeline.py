"""The whole path, measured: broker → ingest → processor → ledger and series → processed event.

Starts real Mosquitto, PostgreSQL and InfluxDB 1.x, our services as processes of their own, and a bare consumer that
only receives and acknowledges, all in one run on one machine: trust the ratios more than the rates. What was measured,
and when, stands in docs/performance.md.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus import codec, topics
from caudal.common.ports import Delivery, Outgoing, Subscription
from caudal.common.settings import MqttSettings
from servers.platform import Platform

DEVICES = 30
START = datetime(2026, 1, 1, tzinfo=UTC)
PULSES_A_MINUTE = 60


@dataclass
class Figures:
    """What one run gives."""

    bare_msgs_per_s: float
    """A consumer that only receives and acknowledges."""
    single_readings_per_s: float
    """Whole path, one reading per message."""
    single_ratio_to_bare: float
    bundled_readings_per_s: float
    """Whole path, bundles of 100."""
    cpu_us_per_message: dict[str, int]
    """Ingest and processors, at the steady rate."""
    steady_msgs_per_s: float
    latency_p50_ms: float
    """Device to processed event, at the steady rate."""
    latency_p99_ms: float
    peak_memory_mb: dict[str, float]
    missing: int
    """Readings sent and not in the series."""


class HeardReading(msgspec.Struct):
    """What the bench looks at in a processed reading."""

    measured_at: datetime


class Heard(msgspec.Struct):
    """What the bench looks at in a processed event; to read all of it would take from the CPU that is measured."""

    device: str
    readings: list[HeardReading]


class Listener:
    """Hears processed events and notes when each instant of each device arrived."""

    def __init__(self) -> None:
        self.heard = 0
        self.arrived: dict[tuple[str, datetime], float] = {}
        self._changed = asyncio.Event()

    async def hear(self, deliveries: Sequence[Delivery]) -> None:
        """Note a batch."""
        now = time.perf_counter()
        for delivery in deliveries:
            message = codec.decode(delivery.payload, Heard)
            for reading in message.readings:
                self.arrived[message.device, reading.measured_at] = now
        self.heard = len(self.arrived)
        self._changed.set()

    async def until(self, count: int, timeout_s: float) -> None:
        """Wait until so many readings were heard of."""
        async with asyncio.timeout(timeout_s):
            while self.heard < count:
                self._changed.clear()
                await self._changed.wait()


class Load:
    """Numbered readings of all devices; every instant is used once."""

    def __init__(self) -> None:
        self._minute = 0
        self.sent = 0

    def messages(self, count: int, bundle: int) -> list[tuple[str, datetime, Outgoing]]:
        """`count` readings, `bundle` in a message, the devices in turn; (device, last instant, message)."""
        made = []
        for _ in range(count // bundle // DEVICES):
            for number in range(DEVICES):
                readings = [self._reading(self._minute + i) for i in range(bundle)]
                body = {"readings": readings} if bundle > 1 else readings[0]
                address = topics.TELEMETRY_UPLINK.address(device=f"meter-{number}")
                at = START + timedelta(minutes=self._minute + bundle - 1)
                made.append((f"meter-{number}", at, Outgoing(address, codec.encode(body))))
            self._minute += bundle
        self.sent += len(made) * bundle
        return made

    def _reading(self, minute: int) -> dict[str, object]:
        at = START + timedelta(minutes=minute)
        return {"measured_at": at, "values": {"total": 1000 + minute * PULSES_A_MINUTE, "flow": 100.0}}


async def throughput(bus: MqttBus, listener: Listener, load: Load, count: int, bundle: int) -> float:
    """Readings per second from the first publish to the last event."""
    messages = [message for _, _, message in load.messages(count, bundle)]
    begun, before = time.perf_counter(), listener.heard
    for i in range(0, len(messages), 500):
        await bus.publish(messages[i : i + 500])
    total = len(messages) * bundle
    await listener.until(before + total, timeout_s=180)
    return total / (time.perf_counter() - begun)


async def steady(
    bus: MqttBus, listener: Listener, load: Load, rate: int, seconds: int, platform: Platform
) -> tuple[list[float], dict[str, int]]:
    """Latencies in ms at a steady rate, and CPU µs per message by service."""
    messages = load.messages(rate * seconds // DEVICES * DEVICES, 1)
    before, cpu_s = listener.heard, platform.cpu_s()
    sent: dict[tuple[str, datetime], float] = {}
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as publishing:
        for i in range(0, len(messages), 10):
            await asyncio.sleep(max(0.0, begun + i / rate - time.perf_counter()))
            for device, at, _ in messages[i : i + 10]:
                sent[device, at] = time.perf_counter()
            publishing.create_task(bus.publish([message for _, _, message in messages[i : i + 10]]))
    await listener.until(before + len(messages), timeout_s=60)
    used_us = {name: round((used - cpu_s[name]) / len(messages) * 1e6) for name, used in platform.cpu_s().items()}
    return sorted((listener.arrived[key] - at) * 1000 for key, at in sent.items()), used_us


async def bare(platform: Platform, count: int) -> float:
    """Messages per second of a consumer that only receives and acknowledges."""
    done, seen = asyncio.Event(), 0

    async def take(deliveries: Sequence[Delivery]) -> None:
        nonlocal seen
        seen += len(deliveries)
        if seen >= count:
            done.set()

    settings = MqttSettings(mqtt_port=platform.mosquitto.port)
    consumer = MqttBus(settings, "bare")
    consumer.subscribe(Subscription(("bare/+/uplink",), take, name="bare"))
    payload = codec.encode({"measured_at": START, "values": {"total": 1000, "flow": 100.0}})
    messages = [Outgoing(f"bare/meter-{i % DEVICES}/uplink", payload) for i in range(count)]
    running = asyncio.create_task(consumer.run())
    await consumer.connected()
    begun = time.perf_counter()
    for i in range(0, count, 500):
        await consumer.publish(messages[i : i + 500])
    await done.wait()
    seconds = time.perf_counter() - begun
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return count / seconds


async def measure(platform: Platform, arguments: argparse.Namespace) -> Figures:
    """All phases, one after the other."""
    listener, load = Listener(), Load()
    bus = MqttBus(MqttSettings(mqtt_port=platform.mosquitto.port), "bench")
    bus.subscribe(Subscription((topics.TELEMETRY_PROCESSED.filter(),), listener.hear, name="processed"))
    running = asyncio.create_task(bus.run())
    await bus.connected()
    await throughput(bus, listener, load, 30 * DEVICES, 1)
    bare_rate = await bare(platform, arguments.readings)
    single = await throughput(bus, listener, load, arguments.readings, 1)
    bundled = await throughput(bus, listener, load, 5 * arguments.readings, 100)
    latencies, cpu_us = await steady(bus, listener, load, arguments.rate, arguments.seconds, platform)
    stored = await asyncio.to_thread(platform.stored_when, load.sent)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return Figures(
        bare_msgs_per_s=round(bare_rate),
        single_readings_per_s=round(single),
        single_ratio_to_bare=round(single / bare_rate, 3),
        bundled_readings_per_s=round(bundled),
        cpu_us_per_message=cpu_us,
        steady_msgs_per_s=arguments.rate,
        latency_p50_ms=round(statistics.median(latencies), 1),
        latency_p99_ms=round(latencies[int(len(latencies) * 0.99)], 1),
        peak_memory_mb={name: round(mb) for name, mb in platform.peak_memory_mb().items()},
        missing=load.sent - stored,
    )


def show(figures: Figures) -> None:
    """As a table, beside the aims."""
    table = Table("figure", "measured", "aim")
    table.add_row("bare consumer, messages/s", f"{figures.bare_msgs_per_s:,}", "")
    table.add_row("whole path, one per message, readings/s", f"{figures.single_readings_per_s:,}", "≥ 4,000")
    table.add_row("  ratio to the bare consumer", f"{figures.single_ratio_to_bare}", "")
    table.add_row("whole path, bundles of 100, readings/s", f"{figures.bundled_readings_per_s:,}", "≥ 20,000")
    by_service = ", ".join(f"{name} {used}" for name, used in figures.cpu_us_per_message.items())
    together = sum(figures.cpu_us_per_message.values())
    table.add_row(f"our CPU at {figures.steady_msgs_per_s}/s, µs/message", f"{together} ({by_service})", "< 300")
    table.add_row("latency p50, ms", f"{figures.latency_p50_ms}", "")
    table.add_row("latency p99, ms", f"{figures.latency_p99_ms}", "< 60")
    table.add_row("peak memory, MB", ", ".join(f"{k} {v:.0f}" for k, v in figures.peak_memory_mb.items()), "")
    table.add_row("readings missing from the series", f"{figures.missing}", "0")
    Console().print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--readings", type=int, default=30_000, help="of the one-per-message phase; bundles send 5 times as many"
    )
    parser.add_argument("--rate", type=int, default=1000, help="messages per second of the steady phase")
    parser.add_argument("--seconds", type=int, default=15, help="length of the steady phase")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caudal-bench-")))
        platform = stack.enter_context(Platform(folder, devices=DEVICES))
        figures = uvloop.run(measure(platform, arguments))
    if arguments.json:
        print(json.dumps(asdict(figures)))
    else:
        show(figures)


if __name__ == "__main__":
    main()
