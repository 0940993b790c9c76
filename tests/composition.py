"""docker-compose.yml as Docker reads it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def _compose() -> list[str]:
    """The command that reads compose files here, old or new."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    pytest.skip("needs docker-compose")


def resolved(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `config` makes of it, with nothing but these arguments."""
    command = [*_compose(), "--project-directory", str(ROOT), *arguments, "config"]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def composition() -> dict[str, Any]:
    """The file with the values of .env.example."""
    done = resolved("--env-file", str(ROOT / ".env.example"))
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = yaml.safe_load(done.stdout)
    return parsed


def image_environment() -> dict[str, str]:
    """What the Dockerfile's last stage sets, but for the PATH."""
    last_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
    settings = " ".join(re.findall(r"^ENV (.+)$", last_stage, re.MULTILINE))
    return {name: value for name, value in re.findall(r"(\w+)=(\S+)", settings) if name != "PATH"}
