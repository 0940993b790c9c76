"""A device that nobody knows yet: what it says is kept, and stands where it belongs once a point claims it."""

import asyncio
import time

import msgspec

from audit import PATIENCE_S, Witness, settled
from buses import running
from figures import tell
from fleet import Fleet
from servers.installation import Installation, metered_point

RATE_PER_S = 200


async def test_readings_from_before_the_claim_end_in_the_series_of_a_device_known_from_the_start(
    site: Installation,
) -> None:
    fleet = Fleet(site.broker.port, devices=2)
    known, unknown = (metered_point(device) for device in fleet.devices)
    await site.add_points([known])
    await asyncio.to_thread(site.start, "ingest", "processor-1", "processor-2", "gateway_api")
    witness, enough = Witness(site.broker.port), asyncio.Event()
    async with running(witness.bus), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            waiting = (await asyncio.to_thread(site.api, "GET", "/api/telemetry/unclaimed/"))["items"]
            if waiting and waiting[0]["readings"] > 300:
                break
        body = msgspec.to_builtins(unknown)
        del body["earlier"]  # a new point has no past
        await asyncio.to_thread(site.api, "POST", "/api/points/", body)
        before = len(fleet.acknowledged)
        while len(fleet.acknowledged) < before + 300:
            await asyncio.sleep(0.05)
        enough.set()
        await sending
        found = await settled(site, fleet, witness)
    still = (await asyncio.to_thread(site.api, "GET", "/api/telemetry/unclaimed/"))["items"]
    rows = await site.query("select point, measured_at, processed_json, state_json from processor_rows order by 1, 2")
    series = {code: [tuple(row)[1:] for row in rows if row["point"] == code] for code in (known.code, unknown.code)}
    tell("claimed under load", **found.figures, waited=waiting[0]["readings"])
    assert waiting[0]["device"] == unknown.device
    assert not found.faults
    assert not still
    size = min(map(len, series.values()))
    assert series[unknown.code][:size] == series[known.code][:size]
