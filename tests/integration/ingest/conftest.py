"""Ingest as a process of its own, on a broker of its own, with a catalog in SQLite."""

from collections.abc import AsyncIterator, Iterator

import pytest

from buses import running
from ears import Ears, ingest_settings
from servers.mosquitto import Mosquitto
from servers.service import Service


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker of this module's own: ingest's shared subscriptions outlive its process."""
    with Mosquitto(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def ingest(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Ingest, running."""
    folder = tmp_path_factory.mktemp("ingest")
    with Service(folder, "ingest", ingest_settings(broker.port, folder)) as service:
        yield service


@pytest.fixture
async def ears(broker: Mosquitto) -> AsyncIterator[Ears]:
    """Connected for the length of a test."""
    heard = Ears(broker.port)
    async with running(heard.bus):
        yield heard
