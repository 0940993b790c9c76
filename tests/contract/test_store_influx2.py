"""InfluxDB 2.x keeps the laws of telemetry stores, wherever there is one."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from caudal.common.adapters.store import open_store
from caudal.common.ports import TelemetryStore
from caudal.common.settings import StoreSettings
from caudal.common.testing.store_rows import MovableClock
from caudal.common.testing.store_suite import StoreSuite
from servers.influx import Influx2


def settings(server: Influx2, **changes: object) -> StoreSettings:
    """Settings for a bucket that nobody else uses."""
    given = {"store": "influx", "influx_url": server.url, "influx_org": server.org, "influx_token": server.token}
    return StoreSettings.model_validate(given | {"influx_bucket": f"bucket_{uuid4().hex}"} | changes)


class TestInflux2(StoreSuite):
    expires_by_itself = True

    @pytest.fixture
    async def store(self, clock: MovableClock, influx2: Influx2) -> AsyncIterator[TelemetryStore]:
        async with open_store(settings(influx2), clock) as store:
            yield store
