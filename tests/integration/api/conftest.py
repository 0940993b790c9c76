"""The API on SQLite and on PostgreSQL, each test with a database of its own, cloned from one that has its tables."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from integration.api.estate import Estate, inhabited
from integration.api.house import ApiHouse, furnished, migrate_all
from servers.postgres import Postgres


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(migrate_all(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """A database of the server with all tables, to be cloned."""
    url = postgres.database()
    asyncio.run(migrate_all(url))
    return urlsplit(url).path.lstrip("/")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A SQLite database of this test's own."""
    copy = tmp_path / "caudal.db"
    shutil.copy(sqlite_template, copy)
    return f"sqlite+aiosqlite:///{copy}"


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres: Postgres, postgres_template: str) -> Iterator[str]:
    """A PostgreSQL database of this test's own; one in which it may change tables if it is marked so."""
    if request.node.get_closest_marker("changes_tables"):
        yield postgres.database(postgres_template)
    else:
        with postgres.borrowed(postgres_template) as url:
            yield url


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of each kind in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    """The API on each database in turn."""
    async with furnished(database_url, tmp_path / "data") as house:
        yield house


@pytest.fixture
async def acme(api: ApiHouse) -> ApiHouse:
    """The API with two clients."""
    for client in ("acme", "other"):
        answer = await api.admin.post("/api/clients/", json={"code": client})
        assert answer.status_code == 201
    return api


@pytest.fixture
async def estate(api: ApiHouse) -> Estate:
    """Two clients, each with an administrator, a user and a point."""
    return await inhabited(api)
