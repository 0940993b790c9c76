"""The memory store keeps the laws of telemetry stores."""

import pytest

from caudal.common.ports import TelemetryStore
from caudal.common.testing.memory_store import MemoryStore
from caudal.common.testing.store_rows import RETENTION, MovableClock
from caudal.common.testing.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self, clock: MovableClock) -> TelemetryStore:
        return MemoryStore(RETENTION, clock)
