"""What is shipped for containers agrees with itself and with the code."""

import re
from pathlib import Path
from typing import Any

import pytest

from caudal.cli.local.broker import MOSQUITTO_SETTINGS
from caudal.cli.local.services import SERVICES
from composition import composition, resolved

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return composition()


def test_compose_without_secrets_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    done = resolved("--env-file", str(tmp_path / "empty"))
    assert done.returncode != 0
    assert "copy .env.example to .env" in done.stderr


def test_compose_runs_every_service_after_what_it_needs(composed: dict[str, Any]) -> None:
    for service in SERVICES:
        entry = composed["services"][service.name]
        assert entry["command"] == ["python", "-m", service.module]
        assert entry["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert entry["depends_on"]["mosquitto"]["condition"] == "service_healthy"


def test_every_server_of_compose_has_a_health_check_and_keeps_its_data_in_a_named_volume(
    composed: dict[str, Any],
) -> None:
    for name in ("mosquitto", "postgres", "influxdb", "redis"):
        entry = composed["services"][name]
        assert entry["healthcheck"]["test"]
        assert name in [v["source"] if isinstance(v, dict) else v.split(":")[0] for v in entry["volumes"]]


def test_no_secret_stands_in_the_compose_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = re.findall(r"^\s+\w*(?:PASSWORD|TOKEN)\w*: *(.+)$", text, re.MULTILINE)
    assert secrets
    assert all(value.startswith("${") for value in secrets)


def test_the_example_environment_shows_no_real_secret() -> None:
    values = dict(re.findall(r"^(\w*(?:PASSWORD|TOKEN)\w*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert values
    assert all(value.startswith("not-a-secret") for value in values.values())


def test_both_ways_to_run_use_the_same_broker_settings() -> None:
    lines = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text().splitlines()
    shipped = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    assert {name: shipped.get(name) for name in MOSQUITTO_SETTINGS} == MOSQUITTO_SETTINGS


def test_the_image_is_built_from_hashes_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes" in text
    assert re.search(r"^USER (?!root|0)\w+$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
