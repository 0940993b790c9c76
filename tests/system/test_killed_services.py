"""kill -9 of our services under load, at random moments: nothing is lost, nothing is counted twice."""

import asyncio
import random
import time

import pytest

from audit import Witness, settled
from buses import Box, running, settings
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.ports import Subscription
from figures import tell
from fleet import Fleet
from servers.installation import Installation, metered_point

RATE_PER_S = 600
KILLS = 6
SAYS = {"ingest": "telemetry/+/raw", "processor": "telemetry/+/processed"}
"""What a service has just said is not yet acknowledged or forgotten by it: the worst of moments to be killed."""


def spy(port: int, module: str) -> tuple[MqttBus, Box]:
    """Hears at once what a service says."""
    box, bus = Box(), MqttBus(settings(port), f"spy-{module}")
    bus.subscribe(Subscription((SAYS[module],), box.handle, linger_s=0))
    return bus, box


@pytest.mark.parametrize("services", [("ingest", "processor"), ("ingest", "processor-1", "processor-2")])
async def test_services_killed_under_load_lose_nothing_and_double_nothing(
    site: Installation, services: tuple[str, ...]
) -> None:
    chance = random.Random(len(services))
    begun = time.monotonic()
    fleet = Fleet(site.broker.port, devices=6)
    await site.add_points([metered_point(device) for device in fleet.devices])
    await asyncio.to_thread(site.start, *services)
    witness, enough = Witness(site.broker.port), asyncio.Event()
    spies = {module: spy(site.broker.port, module) for module in SAYS}
    async with running(witness.bus, *(bus for bus, _ in spies.values())), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        for number in range(KILLS):
            victim = site.services[services[number % len(services)]]
            _, heard = spies[victim.module]
            await heard.holds(len(heard.deliveries) + chance.randrange(1, 150))
            await asyncio.sleep(chance.choice((0, chance.uniform(0, 0.03))))
            await site.kill(victim)
        enough.set()
        await sending
        found = await settled(site, fleet, witness)
    tell(
        f"kill -9 of {', '.join(services)}", **found.figures, restarts=site.restarts,
        seconds=time.monotonic() - begun,
    )  # fmt: skip
    assert not found.faults
