"""The broker killed and restarted under load, with the settings that are shipped.

What is promised. A restart in order loses nothing. After `kill -9` Mosquitto has what it saved last: a PUBACK is no
write to disk, `autosave_interval 1` saves every two seconds. So a reading acknowledged less than that before a crash
may be gone, and a device that wants it kept sends once more what it said in the last seconds; a processed reading
told in that time may never be heard, and whoever needs all of them asks the ledger. Nothing is ever counted twice.
"""

import asyncio
import random
import time

from audit import Witness, quiet, settled
from buses import running
from figures import tell
from fleet import Fleet
from servers.installation import Installation, metered_point

RATE_PER_S = 300
SAVED_S = 3.0
"""What was acknowledged so long before a crash is on the disk: two seconds, and one for the saving itself."""
KILLS = 3


async def test_broker_killed_under_load_loses_only_what_it_had_no_time_to_save(site: Installation) -> None:
    chance = random.Random(2)
    begun = time.monotonic()
    fleet = Fleet(site.broker.port, devices=6)
    await site.add_points([metered_point(device) for device in fleet.devices])
    await asyncio.to_thread(site.start, "ingest", "processor")
    witness, enough = Witness(site.broker.port), asyncio.Event()
    crashes: list[tuple[float, float]] = []  # from when on what was acknowledged may be gone, until when
    async with running(witness.bus), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        for _ in range(KILLS):
            await asyncio.sleep(SAVED_S + chance.uniform(0, 2))
            well_at = time.monotonic()
            await site.kill(site.broker)
            crashes.append((well_at - SAVED_S, time.monotonic()))
        await asyncio.sleep(0.5)
        enough.set()
        await sending
        lost = await quiet(site, fleet, witness)
        saved = [
            reading
            for reading in lost.missing
            if not any(first <= fleet.acknowledged[reading] <= last for first, last in crashes)
        ]
        for crash in crashes:
            fleet.send_again(acknowledged_between=crash)
        await fleet.send(RATE_PER_S, enough)
        found = await settled(site, fleet, witness)
    tell(
        "kill -9 of the broker", **found.figures, missing_before_sent_again=len(lost.missing),
        restarts=site.restarts, seconds=time.monotonic() - begun,
    )  # fmt: skip
    assert not saved
    assert not found.faults


async def test_broker_restarted_in_order_under_load_loses_nothing(site: Installation) -> None:
    begun = time.monotonic()
    fleet = Fleet(site.broker.port, devices=6)
    await site.add_points([metered_point(device) for device in fleet.devices])
    await asyncio.to_thread(site.start, "ingest", "processor")
    witness, enough = Witness(site.broker.port), asyncio.Event()
    async with running(witness.bus), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        for _ in range(2):
            await asyncio.sleep(2)
            await asyncio.to_thread(site.broker.stop)
            await asyncio.to_thread(site.broker.start)
        await asyncio.sleep(0.5)
        enough.set()
        await sending
        found = await settled(site, fleet, witness)
    tell("broker restarted in order", **found.figures, restarts=2, seconds=time.monotonic() - begun)
    assert not found.faults
