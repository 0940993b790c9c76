"""A simulated meter sends real flow through the platform, and the platform is asked what it made of it."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from caudal.cli.demo.api import Api
from caudal.cli.demo.scenario import DEVICE, POINT, Scenario, point
from caudal.cli.domain.outcome import Outcome
from caudal.cli.local.platform import LocalPlatform
from caudal.cli.local.ports import LOOPBACK
from caudal.cli.local.terminal import Terminal
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus.topics import TELEMETRY_UPLINK
from caudal.common.domain.errors import Permanent
from caudal.common.ports import Outgoing
from caudal.common.settings import MqttSettings

PROCESSED_TIMEOUT_S = 120.0
POLL_S = 0.2
SENT_AT_ONCE = 50


class Demo:
    """One run of the scenario on a running platform."""

    def __init__(self, platform: LocalPlatform, scenario: Scenario, terminal: Terminal) -> None:
        self._platform = platform
        self._scenario = scenario
        self._terminal = terminal
        self._api = Api(platform.url)

    async def run(self) -> Outcome:
        """Configure the point, send everything, wait until it is stored, and ask for the figures.

        Raises:
            Permanent: the platform refused something, or was not done in time.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._api.close)
            await self._configure()
            progress = stack.enter_context(self._progress())
            begun = time.monotonic()
            await self._send(progress)
            totals = await self._stored(progress)
            return self._outcome(await self._api.summary(POINT), totals, time.monotonic() - begun)

    async def _configure(self) -> None:
        admin = self._platform.admin
        if admin is None:
            raise Permanent("the demo needs a folder in which no platform has lived yet")
        await self._api.login(admin.email, admin.password)
        await self._api.create_point(point())

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self._terminal.console)

    async def _send(self, progress: Progress) -> None:
        """Publish what the meter sends, in its order."""
        topic = TELEMETRY_UPLINK.address(device=DEVICE)
        messages = [Outgoing(topic, transmission.payload) for transmission in self._scenario.journey.transmissions]
        settings = MqttSettings(mqtt_host=LOOPBACK, mqtt_port=self._platform.mqtt_port)
        bus = MqttBus(settings, DEVICE)
        serving = asyncio.create_task(bus.run(), name="demo:bus")
        bar = progress.add_task("sent", total=len(messages))
        try:
            for start in range(0, len(messages), SENT_AT_ONCE):
                batch = messages[start : start + SENT_AT_ONCE]
                await bus.publish(batch)
                progress.advance(bar, len(batch))
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _stored(self, progress: Progress) -> list[float]:
        """Wait until every message is accounted for and every reading stands in the store; the totals there."""
        journey = self._scenario.journey
        bar = progress.add_task("stored", total=journey.readings)
        start, end = self._scenario.first_at, self._scenario.last_at + timedelta(seconds=1)
        try:
            async with asyncio.timeout(PROCESSED_TIMEOUT_S):
                while True:
                    summary = await self._api.summary(POINT)
                    progress.update(bar, completed=summary["readings"])
                    if _accounted_for(summary) >= len(journey.transmissions):
                        totals = await self._api.values(POINT, "total", start, end)
                        if len(totals) >= journey.readings:
                            return totals
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            waited = f"after {PROCESSED_TIMEOUT_S:.0f} s not everything was processed"
            raise Permanent(f"{waited}: {await self._api.summary(POINT)}") from error

    def _outcome(self, summary: dict[str, Any], totals: list[float], seconds: float) -> Outcome:
        flags: dict[str, int] = summary["flags"]
        return Outcome(
            readings_sent=self._scenario.journey.readings,
            readings_stored=len(totals),
            volume_m3=round(totals[-1] - totals[0], 6),
            expected_volume_m3=float(self._scenario.expected_volume_m3),
            resets=flags.get("ZERO_TOTAL_RESET", 0),
            glitches=flags.get("GLITCH", 0),
            duplicates=summary["duplicates"],
            late=summary["late"],
            rejected=summary["rejected"],
            flags=flags,
            seconds=round(seconds, 3),
        )


def _accounted_for(summary: dict[str, Any]) -> int:
    """Messages that the platform knows the fate of."""
    settled = sum(count for status, count in summary["raw"].items() if status not in ("PENDING", "PROCESSING"))
    return int(settled) + int(summary["rejected"])
