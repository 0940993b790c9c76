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
        Permanent: there is no platform in `data_dir`, or it would have to run, and does not.
    """
    only_looks = not {"--help", "--dry-run"}.isdisjoint(arguments)
    needs_tables = {"--help", "--new-key"}.isdisjoint(arguments)
    environment = _environment(data_dir, needs_running and not only_looks, needs_tables)
    return subprocess.run(service.command(command, *arguments), env=environment, check=False).returncode


def migrate(service: Service, data_dir: Path) -> int:
    """Bring the tables of `service` up to date, in a new folder, too; its exit code.

    Raises:
        Permanent: the folder cannot be made.
    """
    DataFolder(data_dir).make()
    environment = _environment(data_dir, needs_running=False, needs_tables=False)
    return subprocess.run(service.command("migrate"), env=environment, check=False).returncode


def _environment(data_dir: Path, needs_running: bool, needs_tables: bool) -> Mapping[str, str]:
    """In a container the environment says all; elsewhere the folder does."""
    if "CAUDAL_DATABASE_URL" in os.environ:
        return os.environ
    folder = DataFolder(data_dir)
    if needs_running and not folder.is_held():
        raise Permanent(f"no platform runs on {folder.path}; start it with: caudal up --data-dir {data_dir}")
    if needs_tables and not folder.database.exists():
        raise Permanent(f"no platform has run on {folder.path} yet; start it with: caudal up --data-dir {data_dir}")
    instance = folder.instance()
    return common_environment(folder, instance.mqtt_port if instance else USUAL_MQTT_PORT)
