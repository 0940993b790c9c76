"""Whole platforms for tests of faults: each test has its own broker, database and bucket, and processes of its own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.influx import Influx1
from servers.installation import Installation, make_tables
from servers.postgres import Postgres


@pytest.fixture(scope="session")
def tables(postgres: Postgres) -> str:
    """The name of a database in which all services have their tables and nothing is in them."""
    url = postgres.database()
    asyncio.run(make_tables(url))
    return url.rpartition("/")[2]


@pytest.fixture
def site(tmp_path: Path, postgres: Postgres, influx1: Influx1, tables: str) -> Iterator[Installation]:
    """A site on servers that all tests share, but for its broker; nothing of it is started."""
    made = Installation(tmp_path, postgres, influx1, postgres.database(tables))
    yield made
    made.stop()


@pytest.fixture
def fragile_site(tmp_path: Path) -> Iterator[Installation]:
    """A site whose servers are its own, to be frozen and killed; only these are started."""
    with Postgres(tmp_path / "postgres") as postgres, Influx1(tmp_path / "influx1") as influx:
        url = postgres.database()
        asyncio.run(make_tables(url))
        made = Installation(tmp_path, postgres, influx, url)
        yield made
        made.stop()
