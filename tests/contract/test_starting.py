"""What a start does without: libraries that only some of its days need, and migrations that are made already."""

import json
import subprocess
import sys
from importlib.resources import as_file, files

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from caudal.common.adapters.sql import newest_version

HEAVY = {"alembic", "arq", "grpc", "httpx", "influxdb_client", "pyarrow", "redis"}
"""Each takes as long to load as all of our own code that loads it."""
MAY = {"caudal.ingest.__main__": {"httpx"}}
"""What a start cannot do without: ingest's client of providers is there before the first of them."""


@pytest.mark.parametrize(
    "module", ["caudal.cli.main", "caudal.gateway_api.__main__", "caudal.ingest.__main__", "caudal.processor.__main__"]
)
def test_a_start_loads_nothing_heavy_that_it_may_not_need(module: str) -> None:
    assert loaded_by(module) & HEAVY == MAY.get(module, set())


def test_the_command_line_loads_no_more_than_it_needs_to_start_others() -> None:
    assert loaded_by("caudal.cli.main").isdisjoint({"aiomqtt", "fastapi", "pydantic", "sqlalchemy", "uvicorn"})


@pytest.mark.parametrize("package", ["caudal.gateway_api", "caudal.ingest", "caudal.processor"])
def test_the_last_migration_is_known_by_its_file_name(package: str) -> None:
    with as_file(files(package) / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts))
        config.set_main_option("path_separator", "os")
        assert newest_version(scripts) == ScriptDirectory.from_config(config).get_current_head()


def loaded_by(module: str) -> set[str]:
    """The packages that are loaded once `module` is."""
    program = f"import json, sys, {module}; print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(said.stdout))
