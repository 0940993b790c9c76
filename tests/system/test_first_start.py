"""The first start of an installation: nothing that ingest has taken is lost because the processor is not there yet."""

import asyncio

from audit import Witness, settled
from buses import running, until
from figures import tell
from fleet import Fleet
from servers.installation import Installation, metered_point

RATE_PER_S = 200


async def test_readings_wait_for_a_processor_that_was_never_there(site: Installation) -> None:
    fleet = Fleet(site.broker.port, devices=4)
    await site.add_points([metered_point(device) for device in fleet.devices])
    await asyncio.to_thread(site.start, "ingest")
    witness, enough = Witness(site.broker.port), asyncio.Event()
    async with running(witness.bus), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        await until(lambda: len(fleet.acknowledged) > RATE_PER_S)
        waited = len(fleet.acknowledged)
        await asyncio.to_thread(site.add, "processor")
        enough.set()
        await sending
        found = await settled(site, fleet, witness)
    tell("processor started after ingest", **found.figures, waited=waited)
    assert not found.faults
