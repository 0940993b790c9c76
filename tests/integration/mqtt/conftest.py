"""Brokers for the tests of the bus, which run on the event loop that services run on."""

from collections.abc import Callable, Iterator

import pytest
import uvloop

from servers.iotcore import Iotcore
from servers.process import Server


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], uvloop.Loop]]:
    """uvloop alone."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def iotcore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iotcore]:
    """The embedded broker of local mode."""
    with Iotcore(tmp_path_factory.mktemp("iotcore")) as server:
        yield server


@pytest.fixture(params=["mosquitto", "iotcore"])
def broker(request: pytest.FixtureRequest) -> Server:
    """Each broker in turn."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of this test's own, for its topics and sessions."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
