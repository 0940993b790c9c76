"""One of our own services as a process of its own, as a container would run it."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from servers.process import Server


class Service(Server):
    """`python -m caudal.<module>` with settings from the environment; ready when it says so."""

    def __init__(self, folder: Path, module: str, settings: Mapping[str, str], *, replica: str = "") -> None:
        super().__init__(folder)
        self.name = f"{module}{replica}"
        self.module = module
        self.settings = dict(settings)
        if replica:
            self.settings["CAUDAL_MQTT_CLIENT_ID"] = self.name

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", f"caudal.{self.module}"]

    def environment(self) -> dict[str, str]:
        ours = {"CAUDAL_HEALTH_PORT": str(self.port), "CAUDAL_API_PORT": str(self.port), "CAUDAL_LOG_FORMAT": "json"}
        return {**os.environ, **ours, **self.settings}

    def is_ready(self) -> bool:
        return self.readiness().get("ready") is True

    def readiness(self) -> dict[str, Any]:
        """What /health/ready answers; empty if nothing does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except OSError:
            return {}

    def is_alive(self) -> bool:
        """Whether /health/live says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def metrics(self) -> str:
        """What /metrics answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory_mb(self) -> float:
        """Most memory held at once so far."""
        return self._status_mb("VmHWM")

    def memory_mb(self) -> float:
        """Memory held now."""
        return self._status_mb("VmRSS")

    def _status_mb(self, field: str) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) / 1024
