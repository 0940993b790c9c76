"""The embedded store keeps the laws of telemetry stores, over several processes too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from caudal.common.adapters.embedded_store import EmbeddedStore
from caudal.common.ports import TelemetryStore
from caudal.common.testing.store_rows import RETENTION, MovableClock
from caudal.common.testing.store_suite import StoreSuite


class TestEmbeddedStore(StoreSuite):
    @pytest.fixture
    async def store(self, clock: MovableClock, tmp_path: Path) -> AsyncIterator[TelemetryStore]:
        store = EmbeddedStore(tmp_path / "telemetry.db", RETENTION, clock)
        yield store
        await store.close()
