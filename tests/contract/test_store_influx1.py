"""InfluxDB 1.x keeps the laws of telemetry stores, and what only a server can do wrong is told."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from caudal.common.adapters.store import open_store
from caudal.common.ports import TelemetryStore
from caudal.common.settings import StoreSettings
from caudal.common.testing.store_rows import MovableClock
from caudal.common.testing.store_suite import StoreSuite
from servers.influx import Influx1


def settings(server: Influx1, **changes: object) -> StoreSettings:
    """Settings for a database that nobody else uses."""
    given = {"store": "influx", "INFLUX_API": "1", "influx_url": server.url, "influx_bucket": f"db_{uuid4().hex}"}
    return StoreSettings.model_validate(given | changes)


class TestInflux1(StoreSuite):
    expires_by_itself = True

    @pytest.fixture
    async def store(self, clock: MovableClock, influx1: Influx1) -> AsyncIterator[TelemetryStore]:
        async with open_store(settings(influx1), clock) as store:
            yield store
