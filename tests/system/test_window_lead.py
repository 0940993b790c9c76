"""A window does not run far ahead of a processor that is away, and goes on when it is back."""

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from buses import Box, running, settings
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import RawReadings
from caudal.common.ports import Delivery, Subscription
from figures import tell
from servers.installation import Installation

ROWS, AHEAD = 40_000, 10_000
CHUNK = 5000
"""Rows that are sent at once."""


async def test_a_window_waits_for_the_processor_and_then_ends(site: Installation) -> None:
    await asyncio.to_thread(site.start, "processor")
    await asyncio.to_thread(site.services["processor"].stop)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    rows = (f"{(start + timedelta(seconds=n)).isoformat()},meter,{n}\n" for n in range(ROWS))
    site.folder.joinpath("big.csv").write_text("ts,device,total\n" + "".join(rows))
    sent = 0

    def count(deliveries: Sequence[Delivery]) -> None:
        nonlocal sent
        sent += sum(len(decode(delivery.payload, RawReadings).readings) for delivery in deliveries)

    listener = MqttBus(settings(site.broker.port), "listener")
    listener.subscribe(Subscription(("telemetry/+/raw",), Box(before=count).handle))
    async with running(listener), asyncio.timeout(100):
        bound = {"CAUDAL_WINDOW_ROWS_AHEAD": str(AHEAD), "CAUDAL_WINDOW_ROWS_PER_S": "0"}
        loader = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "caudal.ingest", "load", site.folder / "big.csv", "--window", "w1", "--json",
            stdout=asyncio.subprocess.PIPE, env={**os.environ, **site.settings, **bound},
        )  # fmt: skip
        while sent <= AHEAD:
            await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loader.wait(), 2)
        ahead = sent
        await asyncio.to_thread(site.services["processor"].start)
        await loader.communicate()
        while (await site.query("select count(*) from processor_raw where window_id = 'w1'"))[0][0] < ROWS:
            await asyncio.sleep(0.2)
    tell("window while the processor is away", rows=ROWS, ahead=ahead, allowed=AHEAD + CHUNK)
    assert loader.returncode == 0
    assert ahead <= AHEAD + CHUNK
