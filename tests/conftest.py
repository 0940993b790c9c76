"""Fixtures that every kind of test may ask for: real servers, started once a session and reset by name."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.influx import Influx1, Influx2, find_influxd
from servers.mosquitto import Mosquitto
from servers.postgres import Postgres
from servers.redis import Redis

# A run in the background of a shell has SIGINT ignored; what it starts would inherit that, and never hear Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("skip_report", "figures", "spread")


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
    with Postgres(tmp_path_factory.mktemp("postgres"), lasts=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis shared by all tests."""
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def influx1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx1]:
    """An InfluxDB 1.x shared by all tests; use a database of your own."""
    with Influx1(tmp_path_factory.mktemp("influx1")) as server:
        yield server


@pytest.fixture
def own_influx1(tmp_path: Path) -> Iterator[Influx1]:
    """An InfluxDB 1.x of this test's own, to be frozen and killed at will."""
    with Influx1(tmp_path / "influx1") as server:
        yield server


@pytest.fixture(scope="session")
def influx2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx2]:
    """An InfluxDB 2.x shared by all tests; use a bucket of your own."""
    if find_influxd("2") is None:
        pytest.skip("needs InfluxDB 2")
    with Influx2(tmp_path_factory.mktemp("influx2")) as server:
        yield server


@pytest.fixture
def own_influx2(tmp_path: Path) -> Iterator[Influx2]:
    """An InfluxDB 2.x of this test's own, to be frozen and killed at will."""
    if find_influxd("2") is None:
        pytest.skip("needs InfluxDB 2")
    with Influx2(tmp_path / "influx2") as server:
        yield server
