"""InfluxDB 2.x keeps the laws of telemetry stores, wherever there is one."""

from collections.abc import AsyncIterator

import pytest

from caudal.common.adapters.store import open_store
from caudal.common.ports import TelemetryStore
from caudal.common.testing.store_rows import MovableClock
from caudal.common.testing.store_suite import StoreSuite
from servers.influx import Influx2
from stores import store_settings


class TestInflux2(StoreSuite):
    expires_by_itself = True

    @pytest.fixture
    async def store(self, clock: MovableClock, influx2: Influx2) -> AsyncIterator[TelemetryStore]:
        async with open_store(store_settings(influx2), clock) as store:
            yield store
