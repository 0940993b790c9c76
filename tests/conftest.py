"""Fixtures that every kind of test may ask for: real servers, started once a session and reset by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.mosquitto import Mosquitto
from servers.postgres import Postgres
from servers.redis import Redis

pytest_plugins = ("skip_report",)


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker shared by all tests; use topics and client ids of your own, and don't stop it."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@pytest.fixture
def own_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of this test's own, to be stopped and killed at will."""
    with Mosquitto(tmp_path / "mosquitto") as server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL shared by all tests; ask it for a `database()` of your own."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis shared by all tests."""
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server
