"""Records of a dynamic schema on the whole platform: made under load, by two processors, one of which is killed."""

import asyncio
import json
import time
from typing import Any

import pytest

from audit import PATIENCE_S, Witness, settled
from buses import running
from figures import tell
from fleet import Fleet
from servers.installation import Installation, metered_point

RATE_PER_S = 200
HOURLY = {
    "code": "hourly",
    "period": "hour",
    "group_by": "client",
    "fields": [
        {"code": "readings", "variable": "flow", "aggregate": "count"},
        {"code": "volume", "variable": "total", "aggregate": "increase"},
        {"code": "flow", "variable": "flow", "aggregate": "sum"},
    ],
}


async def asked(site: Installation, method: str, path: str, body: object = None) -> Any:
    return await asyncio.to_thread(site.api, method, path, body)


async def records(site: Installation) -> dict[str, tuple[dict[str, float], int]]:
    found = (await asked(site, "GET", "/api/schemas/hourly/records/?order=starts_at&page_size=500"))["items"]
    return {each["starts_at"]: (each["values"], each["readings"]) for each in found}


async def test_records_made_under_load_are_those_of_the_rows(site: Installation) -> None:
    fleet = Fleet(site.broker.port, devices=2)
    await site.add_points([metered_point(device) for device in fleet.devices])
    await asyncio.to_thread(site.start, "ingest", "processor-1", "processor-2", "gateway_api")
    witness, enough = Witness(site.broker.port), asyncio.Event()
    async with running(witness.bus), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        for count, what in ((300, "schema"), (900, "kill"), (1500, "end")):
            while len(fleet.acknowledged) < count:
                await asyncio.sleep(0.05)
            if what == "schema":
                await asked(site, "POST", "/api/schemas/", HOURLY)
            elif what == "kill":
                await site.kill(site.services["processor-1"])
        enough.set()
        await sending
        found = await settled(site, fleet, witness)
    assert not found.faults
    rows = [json.loads(row[0]) for row in await site.query("select processed_json from processor_rows")]
    deadline = time.monotonic() + PATIENCE_S
    as_they_came = await records(site)
    while sum(readings for _, readings in as_they_came.values()) < len(rows) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        as_they_came = await records(site)
    assert sum(readings for _, readings in as_they_came.values()) == len(rows)
    flow = sum(values["flow"] for values, _ in as_they_came.values())
    assert flow == pytest.approx(sum(row["flow"]["value"] for row in rows))
    volume = sum(values["volume"] for values, _ in as_they_came.values())
    assert volume == pytest.approx((len(rows) - len(fleet.devices)) * 0.01)
    order = await asked(site, "POST", "/api/schemas/hourly/recompute/")
    while order["state"] == "sent" and time.monotonic() < deadline:
        order = await asked(site, "GET", f"/api/telemetry/process/{order['id']}")
    tell("records under load", rows=len(rows), records=len(as_they_came), recomputed=order["detail"]["records"])
    assert order["detail"] == {"records": len(as_they_came)}
    assert await records(site) == as_they_came
