"""Mosquitto as it is shipped for containers: script, configuration, accounts and access list."""

import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiomqtt
import pytest

from servers.process import Server

DEPLOYED = Path(__file__).parents[2] / "deploy" / "mosquitto"


class DeployedMosquitto(Server):
    """Mosquitto started by the shipped script on the shipped configuration, on a port and in a folder of its own.

    `secrets` are what the script finds in its environment; `extra` lines are added to the access list.
    """

    name = "deployed-mosquitto"

    def __init__(self, folder: Path, secrets: Mapping[str, str], extra: str = "") -> None:
        if os.geteuid() == 0:
            # As root it runs under an account of its own, to which pytest's folders are shut; see `Postgres`.
            folder = Path(tempfile.mkdtemp(prefix="caudal-mosquitto-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o755)
        super().__init__(folder)
        self.secrets = dict(secrets)
        self.config, self.data = folder / "config", folder / "data"
        self.config.mkdir()
        self.data.mkdir()
        settings = (DEPLOYED / "mosquitto.conf").read_text()
        settings = settings.replace("listener 1883", f"listener {self.port} 127.0.0.1")
        settings = settings.replace("/mosquitto/data", str(self.data)).replace("/mosquitto/config", str(self.config))
        (self.config / "mosquitto.conf").write_text(settings)
        (self.config / "acl").write_text((DEPLOYED / "acl").read_text() + extra)

    def command(self) -> Sequence[str]:
        if shutil.which("mosquitto_passwd") is None:
            pytest.skip("needs mosquitto")
        return ["/bin/sh", str(DEPLOYED / "start.sh")]

    def environment(self) -> dict[str, str]:
        places = {"MOSQUITTO_CONFIG": str(self.config), "MOSQUITTO_DATA": str(self.data)}
        return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", **self.secrets, **places}

    def add_account(self, name: str) -> None:
        """As an administrator adds a device."""
        passwords = self.data / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", passwords, name, f"pw {name}"], check=True)
        if os.geteuid() == 0:
            shutil.chown(passwords, "mosquitto")

    def client(self, user: str, password: str | None = None) -> aiomqtt.Client:
        return aiomqtt.Client(self.host, self.port, username=user, password=password or f"pw {user}")
