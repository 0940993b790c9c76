"""The locks say what the members ask for, by name, version and hash, and nothing of where it was fetched."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK, RUNTIME, SERVERS = (ROOT / f"requirements{kind}.lock" for kind in ("", "-runtime", "-servers"))


def locked(lock: Path) -> dict[str, list[str]]:
    """Versions by name; a name may have one for each range of Python versions."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ \\]+)", lock.read_text(), re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def asked_for(*, groups: bool) -> list[Requirement]:
    """What the root and all members ask for, but for one another."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts: list[str] = []
    for member in root["tool"]["uv"]["workspace"]["members"]:
        project = tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
        texts += project["dependencies"]
        texts += [text for extra in project.get("optional-dependencies", {}).values() for text in extra]
    for name, group in root["dependency-groups"].items():
        if groups and name != "servers":
            texts += [text for text in group if isinstance(text, str)]
    return [r for r in map(Requirement, texts) if not r.name.startswith("caudal")]


@pytest.mark.parametrize(("lock", "groups"), [(LOCK, True), (RUNTIME, False)], ids=["all", "runtime"])
def test_lock_holds_what_the_members_ask_for(lock: Path, groups: bool) -> None:
    versions = locked(lock)
    unmet = [
        str(wanted)
        for wanted in asked_for(groups=groups)
        if not list(wanted.specifier.filter(versions.get(canonicalize_name(wanted.name), []), prereleases=True))
    ]
    assert unmet == [], "run `make lock`"


@pytest.mark.parametrize("lock", [LOCK, RUNTIME, SERVERS], ids=lambda lock: lock.stem)
def test_every_locked_package_has_hashes_and_no_address(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|^-|--index|--find-links", lock.read_text(), re.MULTILINE)


def test_what_runs_in_containers_is_what_was_tested() -> None:
    everything = locked(LOCK)
    assert {name: v for name, v in locked(RUNTIME).items() if everything.get(name) != v} == {}
