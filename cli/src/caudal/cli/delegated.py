"""Commands that a service carries out itself, in the environment of a data folder."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from caudal.cli.local.folder import DataFolder
from caudal.cli.local.platform import USUAL_MQTT_PORT
from caudal.cli.local.services import Service, common_environment
from caudal.common.domain.errors import Permanent


def run(
    service: Service, command: str, arguments: Sequence[str], data_dir: Path, *, needs_running: bool = False
) -> int:
    """Run `command` of `service` on this terminal; its exit code.

    Raises:
        Permanent: the platform of `data_dir` would have to run, and does not.
    """
    only_looks = not {"--help", "--dry-run"}.isdisjoint(arguments)
    environment = _environment(data_dir, needs_running and not only_looks)
    return subprocess.run(service.command(command, *arguments), env=environment, check=False).returncode


def _environment(data_dir: Path, needs_running: bool) -> Mapping[str, str]:
    """In a container the environment says all; elsewhere the folder does."""
    if "CAUDAL_DATABASE_URL" in os.environ:
        return os.environ
    folder = DataFolder(data_dir)
    if needs_running and not folder.is_held():
        raise Permanent(f"no platform runs on {folder.path}; start it with: caudal up --data-dir {data_dir}")
    folder.path.mkdir(parents=True, exist_ok=True)
    instance = folder.instance()
    return common_environment(folder, instance.mqtt_port if instance else USUAL_MQTT_PORT)
