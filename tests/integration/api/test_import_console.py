"""`caudal import`, as people call it: a process on a database of its own, with no broker anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers.process import free_port

Run = subprocess.CompletedProcess[str]


class Shell:
    """A folder with files, and a database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._environment = os.environ | {"CAUDAL_DATABASE_URL": url, "CAUDAL_DATA_DIR": str(folder / "data")}

    def write(self, name: str, text: str) -> str:
        """A file; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def caudal(self, *arguments: str) -> Run:
        """What `caudal import` does with these."""
        command = [sys.executable, "-m", "caudal.cli", "import", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def shell(tmp_path: Path, sqlite_url: str) -> Shell:
    return Shell(tmp_path, sqlite_url)


def test_dry_run_then_run_then_nothing_left(shell: Shell) -> None:
    file = shell.write("points.csv", "obra,equipo\na,m-a\nb b,m-b\n\x1b[31m,m-c\n")
    mapping = shell.write("map.json", json.dumps({"columns": {"device": "equipo"}}))
    dry = shell.caudal(file, "--kind", "points", "--map", mapping, "--dry-run")
    assert dry.returncode == 1, dry.stderr
    assert "3 rows: 1 would be created, 0 would be changed, 0 unchanged, 2 refused" in dry.stdout
    assert "column obra is code (guessed)" in dry.stdout
    assert "\x1b" not in dry.stdout
    assert "(column obra: b b)" in dry.stdout
    outcomes = []
    for _ in range(2):
        ran = shell.caudal(file, "--kind", "points", "--map", mapping, "--json")
        assert ran.returncode == 1, ran.stderr
        report = json.loads(ran.stdout)
        outcomes.append((report["created"], report["unchanged"], report["refused"]))
    assert outcomes == [(1, 0, 2), (0, 1, 2)]


def test_file_that_cannot_be_used_ends_with_two(shell: Shell) -> None:
    empty = shell.write("empty.csv", "")
    for arguments in ((empty, "--kind", "points"), (empty, "--kind", "nothing"), ("/nowhere.csv", "--kind", "owners")):
        ran = shell.caudal(*arguments)
        assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
        assert "Traceback" not in ran.stderr
    told = json.loads(shell.caudal(empty, "--kind", "points", "--json").stdout)
    assert told == {"error": {"kind": "permanent", "field": "file", "reason": "is empty"}}


def test_history_goes_the_way_of_windows(shell: Shell) -> None:
    rows = shell.write("readings.csv", "fecha;obra;q\n2026-03-02 10:00;m-a;1,5\n2026-03-02 11:00;m-a;2,5\n")
    said = {"columns": {"measured_at": "fecha", "device": "obra", "flow": "q"}, "constants": {"time_zone": "UTC"}}
    mapping = shell.write("map.json", json.dumps(said))
    ran = shell.caudal(rows, "--kind", "history", "--map", mapping, "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert (report["rows"], report["rejected"], report["dry_run"]) == (2, 0, True)
    assert report["columns"]["q"] == "variable flow"


def test_database_that_is_away_is_no_fault_of_the_file(tmp_path: Path) -> None:
    away = Shell(tmp_path, f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/caudal")
    ran = away.caudal(away.write("points.csv", "code,device\na,m-a\n"), "--kind", "points")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("Interrupted: ")
