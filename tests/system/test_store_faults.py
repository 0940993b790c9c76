"""PostgreSQL and InfluxDB frozen and killed under load: said at once, nothing lost, soon made up for."""

import asyncio
import time
from collections.abc import Callable

from audit import Witness, settled
from buses import running
from figures import tell
from fleet import Fleet
from servers.installation import Installation, metered_point
from servers.service import Service

RATE_PER_S = 200
AWAY_S = 20.0
PROMPTLY_S = 5.0
"""Within this time readiness says what is away; asked for with some patience, since machines of tests are slow."""
DRAINED_S = 120.0
GROWTH_MB = 100.0


async def seconds_until(condition: Callable[[], bool]) -> float:
    """How long it took until `condition` held, asked in a thread; twice the promised time at most."""
    begun = time.monotonic()
    async with asyncio.timeout(2 * PROMPTLY_S):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.1)
    return time.monotonic() - begun


def is_red(service: Service, part: str) -> bool:
    """Whether readiness names this part as the one that is not well."""
    said = service.readiness()
    return said.get("ready") is False and said["parts"][part]["ok"] is False


async def test_database_frozen_and_killed_under_load_loses_nothing(fragile_site: Installation) -> None:
    site = fragile_site
    begun = time.monotonic()
    fleet = Fleet(site.broker.port, devices=6)
    await site.add_points([metered_point(device) for device in fleet.devices])
    await asyncio.to_thread(site.start, "ingest", "processor")
    witness, enough = Witness(site.broker.port), asyncio.Event()
    processor, ingest = site.services["processor"], site.services["ingest"]
    async with running(witness.bus), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        await asyncio.sleep(2)
        site.postgres.freeze()
        red = await asyncio.gather(
            seconds_until(lambda: is_red(processor, "database")), seconds_until(lambda: is_red(ingest, "database"))
        )
        live = [await asyncio.to_thread(service.is_alive) for service in (processor, ingest)]
        await asyncio.sleep(15 - max(red))
        site.postgres.thaw()
        green = await seconds_until(site.is_ready)
        site.postgres.kill()
        red_again = await seconds_until(lambda: is_red(processor, "database"))
        await asyncio.to_thread(site.postgres.start)
        enough.set()
        await sending
        back_at = time.monotonic()
        found = await settled(site, fleet, witness, DRAINED_S)
    tell(
        "PostgreSQL frozen for 15 s, then kill -9", **found.figures, red_after_s=max(red), green_after_s=green,
        red_after_kill_s=red_again, drained_s=time.monotonic() - back_at, seconds=time.monotonic() - begun,
    )  # fmt: skip
    assert live == [True, True]
    assert not found.faults


async def test_store_away_under_load_delays_the_series_and_nothing_else(fragile_site: Installation) -> None:
    site = fragile_site
    begun = time.monotonic()
    fleet = Fleet(site.broker.port, devices=6)
    await site.add_points([metered_point(device) for device in fleet.devices])
    await asyncio.to_thread(site.start, "ingest", "processor", "gateway_api")
    witness, enough = Witness(site.broker.port), asyncio.Event()
    processor = site.services["processor"]
    async with running(witness.bus), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(fleet.send(RATE_PER_S, enough))
        await asyncio.sleep(2)
        memory_mb, away_at, heard_before = processor.memory_mb(), time.monotonic(), len(witness.heard)
        site.influx.freeze()
        red = await seconds_until(lambda: is_red(processor, "store"))
        others = processor.readiness()["parts"]
        live = await asyncio.to_thread(processor.is_alive)
        answered = await asyncio.to_thread(site.api, "GET", "/api/points/")
        kept = await asyncio.to_thread(site.api, "GET", f"/api/telemetry/raw/?device={fleet.devices[0]}&limit=5")
        await asyncio.sleep(AWAY_S / 2 - (time.monotonic() - away_at))
        site.influx.kill()
        await asyncio.sleep(AWAY_S - (time.monotonic() - away_at))
        heard_meanwhile, sent_meanwhile = len(witness.heard) - heard_before, fleet.sent
        await asyncio.to_thread(site.influx.start)
        back_at = time.monotonic()
        enough.set()
        await sending
        found = await settled(site, fleet, witness, DRAINED_S)
    growth_mb = processor.peak_memory_mb() - memory_mb
    tell(
        "InfluxDB away for 20 s", **found.figures, red_after_s=red, told_meanwhile=heard_meanwhile,
        memory_growth_mb=growth_mb, drained_s=time.monotonic() - back_at, seconds=time.monotonic() - begun,
    )  # fmt: skip
    assert live
    assert (answered["total"], len(kept["items"])) == (len(fleet.devices), 5)
    assert {name for name, state in others.items() if not state["ok"]} <= {"store", "projection"}
    assert heard_meanwhile > sent_meanwhile / 2
    assert growth_mb < GROWTH_MB
    assert not found.faults
