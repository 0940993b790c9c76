"""Services started before the database and the broker live, say what they wait for, and go on when it comes."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from audit import Witness, settled
from buses import running, until
from figures import tell
from fleet import Fleet
from servers.influx import Influx1
from servers.installation import Installation, make_tables, metered_point
from servers.postgres import Postgres
from servers.service import Service

WAITING = {"ingest": "catalog", "processor": "schemas", "gateway_api": "administrator"}
"""What each of them has to do first and cannot."""


class Living(Service):
    """A service that has started once it lives, whatever it waits for."""

    def is_ready(self) -> bool:
        return self.is_alive()

    def waits(self, *parts: str) -> bool:
        """Whether it is not ready, for the database that these parts need."""
        said = self.readiness()
        words = [str(said["parts"][part].get("detail")) for part in parts] if said else [""]
        return said.get("ready") is False and all("the database is away" in word for word in words)

    def is_well(self, part: str) -> bool:
        """Whether readiness says so of a part."""
        return bool(self.readiness()["parts"][part]["ok"])


@pytest.mark.timeout(180)
async def test_services_started_before_everything_else_live_and_lose_nothing(tmp_path: Path, influx1: Influx1) -> None:
    with Postgres(tmp_path / "postgres") as postgres:
        url = postgres.database()
        await make_tables(url)
        site = Installation(tmp_path, postgres, influx1, url)
        fleet, witness, enough = Fleet(site.broker.port, devices=2), Witness(site.broker.port), asyncio.Event()
        await site.add_points([metered_point(device) for device in fleet.devices])
        await asyncio.to_thread(postgres.stop)
        services = {name: Living(tmp_path / name, name, site.settings) for name in WAITING}
        try:
            await asyncio.gather(*(asyncio.to_thread(service.start) for service in services.values()))
            for name, waiting in WAITING.items():
                await until(partial(services[name].waits, "database", waiting))
            assert not any(service.is_well("bus") for service in services.values())
            await asyncio.to_thread(site.broker.start)
            await until(lambda: all(services[name].is_well("bus") for name in ("ingest", "processor")))
            async with running(witness.bus), asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(fleet.send(100, enough))
                await until(lambda: len(fleet.acknowledged) > 100)
                enough.set()
                await sending
                await asyncio.to_thread(postgres.start)
                await until(lambda: all(Service.is_ready(service) for service in services.values()))
                site.services = dict(services)
                found = await settled(site, fleet, witness)
            logs = "".join(service.log.read_text() for service in services.values())
        finally:
            for service in services.values():
                service.stop()
            site.broker.stop()
    tell("started without a database", **found.figures)
    assert not found.faults
    assert "Traceback" not in logs
