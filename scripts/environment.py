"""Makes `.venv`: the locked packages, checked by hash, and our own members, editable. Standard library only.

Run by `make setup` through scripts/setup. The second run finds its stamp and ends at once.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "setup.stamp"
"""Digest of what the environment was made from."""


def say(text: str) -> None:
    """Tell what is being done."""
    print(f"setup: {text}", flush=True)


def members() -> list[str]:
    """Folders of the workspace, as the root pyproject.toml lists them."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(configuration["tool"]["uv"]["workspace"]["members"])


def digest() -> str:
    """What the environment depends on: this place, the lock and how each member is installed."""
    parts = [str(ROOT).encode(), LOCK.read_bytes(), *((ROOT / m / "pyproject.toml").read_bytes() for m in members())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def succeeds(*command: str | Path) -> bool:
    """Whether a command can be run and ends well; it is not heard."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(*command: str | Path) -> None:
    """Run a command that has to end well."""
    subprocess.run(command, check=True, cwd=ROOT)


def as_root() -> list[str] | None:
    """What makes a command root's: nothing for root itself, sudo where it may be used, None where neither is."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and (succeeds("sudo", "-n", "true") or sys.stdin.isatty()):
        return ["sudo"]
    return None


def bring_ensurepip() -> None:
    """On Debian `venv` works only with a package of its own; install it where we may."""
    prefix, package = as_root(), f"python3.{sys.version_info.minor}-venv"
    if importlib.util.find_spec("ensurepip") or not shutil.which("apt-get") or prefix is None:
        return
    say(f"installing the Debian package {package}, without which Python makes no environments")
    run(*prefix, "apt-get", "update", "-qq")
    run(*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package)
    importlib.invalidate_caches()


def make_venv() -> list[str | Path]:
    """Make `.venv` unless there is a working one; the command that runs pip for it."""
    works = succeeds(PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))")
    own_pip: list[str | Path] = [PYTHON, "-m", "pip"]
    if works and succeeds(*own_pip, "--version"):
        return own_pip
    bring_ensurepip()
    if importlib.util.find_spec("ensurepip"):
        say(f"making .venv with Python {sys.version.split()[0]}")
        run(*([PYTHON, "-m", "ensurepip"] if works else [sys.executable, "-m", "venv", "--clear", VENV]))
        return own_pip
    if succeeds(sys.executable, "-m", "pip", "--python", sys.executable, "--version"):
        say(f"making .venv with Python {sys.version.split()[0]} and the pip beside it")
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV)
        return [sys.executable, "-m", "pip", "--python", PYTHON]
    sys.exit(
        "setup: this Python comes without ensurepip and pip, and there is neither root nor sudo to install them.\n"
        f"       Ask for Debian's python3.{sys.version_info.minor}-venv, or set PYTHON to another Python 3.11+."
    )


def main() -> None:
    """Bring `.venv` up to date with the lock, or say why that is not possible."""
    wanted = digest()
    if STAMP.exists() and STAMP.read_text() == wanted and succeeds(PYTHON, "--version"):
        return
    pip = [*make_venv(), "--disable-pip-version-check"]
    STAMP.unlink(missing_ok=True)
    count = sum(line[:1].isalnum() for line in LOCK.read_text().splitlines())
    say(f"installing {count} locked packages into .venv, each checked by its hash (the first time takes a minute)")
    run(*pip, "install", "--quiet", "--require-hashes", "--requirement", LOCK)
    say(f"installing our own: {', '.join(members())}")
    editable = [part for member in members() for part in ("--editable", f"./{member}")]
    run(*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", *editable)
    # Written here, and not at the first start, since `caudal up` is to be ready in seconds.
    run(PYTHON, "-m", "compileall", "-q", *members())
    STAMP.write_text(wanted)
    say("done: .venv/bin/caudal is there")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"setup: this command failed, see above: {' '.join(map(str, error.cmd))}")
