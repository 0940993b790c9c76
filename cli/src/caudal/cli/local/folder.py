"""The folder in which a local platform lives: its files, its lock, and what is remembered from run to run."""

import fcntl
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from caudal.common.domain.errors import Permanent


class Instance(msgspec.Struct, frozen=True):
    """Where the platform of a folder listens, or last listened."""

    pid: int
    api_port: int
    mqtt_port: int


class DataFolder:
    """One folder, held by at most one platform at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.database = self.path / "caudal.db"
        self.store = self.path / "telemetry.db"
        self.logs = self.path / "logs"
        self.broker = self.path / "broker"
        self._instance = self.path / "instance.json"
        self._password = self.path / "first-password"
        self._lock = -1

    def is_new(self) -> bool:
        """Whether no platform has lived here yet: none has come so far as to be ready."""
        return not self._instance.exists()

    def first_password(self) -> str:
        """The first administrator's password, the same until a start succeeds, and then nowhere any more."""
        if not self._password.exists():
            with os.fdopen(os.open(self._password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(12))
        return self._password.read_text()

    def make(self) -> None:
        """Have it there.

        Raises:
            Permanent: it cannot be made, or not be written.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self.broker.mkdir(exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def hold(self) -> Self:
        """Make the folder and keep every other platform out of it until this process ends.

        Raises:
            Permanent: another one is in it, or it cannot be written.
        """
        self.make()
        try:
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            running = self.instance()
            who = f"process {running.pid}" if running else "another process"
            raise Permanent(
                f"{self.path} is in use: {who} runs Caudal on it; stop it, or give another --data-dir"
            ) from error
        except OSError as error:
            raise self._unusable(error) from error
        return self

    def _unusable(self, error: OSError) -> Permanent:
        return Permanent(f"{self.path} cannot be used as data folder: {error.strerror}")

    def release(self) -> None:
        """Let the next platform in."""
        with suppress(OSError):
            os.close(self._lock)

    def is_held(self) -> bool:
        """Whether a platform is running on this folder."""
        try:
            lock = os.open(self.path / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def instance(self) -> Instance | None:
        """Where the platform of this folder listens, or last listened; None if it never did."""
        try:
            return msgspec.json.decode(self._instance.read_bytes(), type=Instance)
        except (OSError, msgspec.MsgspecError):
            return None

    def remember(self, instance: Instance) -> None:
        """Write down where the platform listens, in one step; it is ready."""
        written = self._instance.with_suffix(".new")
        written.write_text(json.dumps(msgspec.to_builtins(instance)))
        written.replace(self._instance)
        self._password.unlink(missing_ok=True)
