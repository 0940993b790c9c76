"""InfluxDB 1.x as Debian packages it, and 2.x where the machine has one."""

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import pytest

from servers.process import Server, free_port

SETTINGS = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
dir = "{folder}/meta"
logging-enabled = false
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
{http}
[monitor]
store-enabled = false
[subscriber]
enabled = false
[continuous_queries]
enabled = false
"""


@cache
def find_influxd(major: str) -> str | None:
    """An `influxd` whose `influxd version` says v<major>: on the PATH or, for 2, in CAUDAL_TEST_INFLUXD2."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/sbin"]
    found = [shutil.which("influxd", path=folder) for folder in folders]
    for program in [os.environ.get("CAUDAL_TEST_INFLUXD2"), *found]:
        if program:
            said = subprocess.run([program, "version"], capture_output=True, text=True, timeout=20, check=False).stdout
            if f"InfluxDB v{major}." in said:
                return program
    return None


class Influx(Server):
    """What both have in common."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    def query(self, statement: str, database: str = "", **options: str) -> str:
        """What the server answers to a statement of InfluxQL, as it is."""
        form = urllib.parse.urlencode({"q": statement, "db": database, **options}).encode()
        request = urllib.request.Request(f"{self.url}/query", data=form, headers=self.headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    headers: ClassVar[dict[str, str]] = {}
    """Credentials."""

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as answer:
                return answer.status == 204
        except (URLError, OSError):
            return False


class Influx1(Influx):
    """InfluxDB 1.x; `http` lines are added to that section of its configuration."""

    name = "influx1"
    api = "1"

    def __init__(self, folder: Path, http: str = "") -> None:
        super().__init__(folder)
        self.configuration = self.folder / "influxdb.conf"
        settings = SETTINGS.format(folder=self.folder, port=self.port, rpc_port=free_port(), http=http)
        self.configuration.write_text(settings)

    def command(self) -> Sequence[str]:
        program = find_influxd("1")
        if program is None:
            pytest.skip("needs InfluxDB 1")
        return [program, "-config", str(self.configuration)]


class Influx2(Influx):
    """InfluxDB 2.x with an organisation and a token that may do everything."""

    name = "influx2"
    api = "2"
    org = "caudal"
    token = "a-token-for-tests"
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Token {token}"}

    def command(self) -> Sequence[str]:
        program = find_influxd("2")
        assert program is not None, "ask find_influxd first"
        return [
            program, "run", "--reporting-disabled", "--log-level", "error",
            "--http-bind-address", f"{self.host}:{self.port}", "--bolt-path", str(self.folder / "influxd.bolt"),
            "--sqlite-path", str(self.folder / "influxd.sqlite"), "--engine-path", str(self.folder / "engine"),
        ]  # fmt: skip

    def start(self) -> "Influx2":
        is_new = not (self.folder / "influxd.bolt").exists()
        super().start()
        if is_new:
            setup = {"username": "admin", "password": "only-for-tests", "org": self.org, "token": self.token}
            body = json.dumps({**setup, "bucket": "unused"}).encode()
            with urllib.request.urlopen(f"{self.url}/api/v2/setup", data=body, timeout=20) as answer:
                assert answer.status == 201
        return self
