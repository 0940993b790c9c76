"""docs/guides/first_fleet.py, run as anybody would run it: from an empty database to six providers' numbers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from figures import tell
from providers.fleet import Values, described, open_fleet
from servers.platform import ADMIN, Platform
from servers.process import Server

SCRIPT = Path(__file__).parents[2] / "docs" / "guides" / "first_fleet.py"
M3_A_PULSE = 1.02 / (0.01 * 1000)


class NextDoor(Platform):
    """Asks providers on this machine, too; its rounds begin by order."""

    def settings(self) -> dict[str, str]:
        return super().settings() | {"CAUDAL_POLLING_NETWORKS": "127.0.0.0/8"}


class Up(Server):
    """`caudal up`: SQLite, the embedded broker."""

    name = "up"
    start_timeout_s = 60.0

    def command(self) -> list[str]:
        options = ["--data-dir", str(self.folder / "data"), "--port", str(self.port), "--broker", "embedded"]
        return [sys.executable, "-m", "caudal.cli", "up", *options]

    def environment(self) -> dict[str, str]:
        ours = {
            "CAUDAL_ADMIN_EMAIL": ADMIN["email"],
            "CAUDAL_ADMIN_PASSWORD": ADMIN["password"],
            "CAUDAL_POLLING_NETWORKS": "127.0.0.0/8",
        }
        return os.environ | ours

    def is_ready(self) -> bool:
        return "Caudal is ready" in self.log.read_text()


@pytest.fixture(params=["servers", "caudal up"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Of an API with nothing in it."""
    if request.param == "servers":
        with NextDoor(tmp_path, devices=0) as platform:
            yield platform.gateway.port
    else:
        with Up(tmp_path / "up") as up:
            yield up.port


def run(port: int, fleet: Path, *options: str) -> str:
    """What the script prints."""
    command = [sys.executable, str(SCRIPT), str(fleet), "--url", f"http://127.0.0.1:{port}", "--email", ADMIN["email"]]
    environment = os.environ | {"CAUDAL_ADMIN_PASSWORD": ADMIN["password"]}
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stored_of(values: Values) -> dict[datetime, dict[str, float]]:
    """What a device's values are worth, by the constants of the script."""
    worth = {"total": M3_A_PULSE, "flow": 1.0, "level": 1.0}
    return {at: {code: value * worth[code] for code, value in row.items()} for at, row in values.items()}


def numbers_of(samples: list[dict[str, Any]]) -> dict[datetime, dict[str, float]]:
    """The series, without what is missing in it."""
    return {
        datetime.fromisoformat(each["at"]): {code: v for code, v in each["values"].items() if v is not None}
        for each in samples
    }


def test_an_empty_platform_becomes_a_fleet_by_its_api_alone(port: int, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.json"
    with ExitStack() as stack:
        cases, measured = open_fleet(stack)
        fleet.write_text(json.dumps(described(cases)))
        said = json.loads(run(port, fleet, "--json"))
    checked = 0
    for view in said["seen"]:
        own = [f"{view['client']}-{name}" for name in measured if f"{view['client']}-{name}" in view["series"]]
        assert len(own) == 3
        assert view["sees"] == sorted(own)
        assert view["not_there"] == view["foreign"]
        assert len(view["foreign"]) == 3
        for point, samples in view["series"].items():
            wanted, found = stored_of(measured[point.split("-")[1]]), numbers_of(samples)
            assert found.keys() == wanted.keys()
            for at, row in wanted.items():
                assert found[at] == pytest.approx(row, rel=1e-9), (point, at)
                checked += len(row)
    assert [(view["client"], view["role"]) for view in said["seen"]] == [
        (client, role) for client in ("andes", "maipo") for role in ("client_admin", "client_user")
    ]
    assert said["trials"].keys() == measured.keys()
    tell("first fleet by the API alone", points=6, users=4, numbers=checked, wrong=0)
