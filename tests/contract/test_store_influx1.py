"""InfluxDB 1.x keeps the laws of telemetry stores."""

from collections.abc import AsyncIterator

import pytest

from caudal.common.adapters.store import open_store
from caudal.common.ports import TelemetryStore
from caudal.common.testing.store_rows import MovableClock
from caudal.common.testing.store_suite import StoreSuite
from servers.influx import Influx1
from stores import store_settings


class TestInflux1(StoreSuite):
    expires_by_itself = True

    @pytest.fixture
    async def store(self, clock: MovableClock, influx1: Influx1) -> AsyncIterator[TelemetryStore]:
        async with open_store(store_settings(influx1), clock) as store:
            yield store
