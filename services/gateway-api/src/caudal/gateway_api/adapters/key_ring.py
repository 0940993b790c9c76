"""The keys of tokens: one that signs, and those that signed before and still check what they signed."""

import fcntl
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from caudal.common.domain.errors import Permanent
from caudal.gateway_api.adapters.signing_key import kept_signing_key, new_key, public_key, signing_keys

_RETIRED = re.compile(r"retired-(\d{8}T\d{6}Z)-[0-9a-f]{8}\.pem")
_MOMENT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Retired:
    """A key that signs no more."""

    key: ec.EllipticCurvePublicKey
    until: datetime | None
    """When the last token that it signed has ended; None: nobody has said."""


@dataclass(frozen=True)
class KeyRing:
    """All keys that tokens may be signed with."""

    signing: ec.EllipticCurvePrivateKey
    retired: tuple[Retired, ...] = ()


class Keys(Protocol):
    """Where the keys are."""

    def ring(self) -> KeyRing:
        """The keys as they are now; the same object as long as they are the same."""
        ...


class GivenKeys:
    """Keys that a setting holds: the first one signs, those behind it only check."""

    def __init__(self, text: str) -> None:
        first, *others = signing_keys(text)
        self._ring = KeyRing(first, tuple(Retired(key.public_key(), None) for key in others))

    def ring(self) -> KeyRing:
        return self._ring


class KeyFolder:
    """Keys in a folder that replicas share: `signing.pem`, and `retired-<until>-….pem` with public keys only.

    What another process has changed is seen at the next look: a look is two calls to the file system.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signing = folder / "signing.pem"
        self._state: object = None
        self._ring: KeyRing | None = None

    def ring(self) -> KeyRing:
        # Looked at before it is read: what changes in between is read again at the next look.
        state = self._looks()
        if self._ring is None or state != self._state:
            self._ring = KeyRing(kept_signing_key(self._signing), tuple(self._retired()))
            self._state = state
        return self._ring

    def rotate(self, now: datetime, until: datetime) -> None:
        """Sign with a new key from now on; the old one, its private half gone, checks until `until`.

        Raises:
            Permanent: the folder cannot be written.
        """
        try:
            kept_signing_key(self._signing)
            with (self._folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                old = kept_signing_key(self._signing).public_key()
                # First: whatever stops us in between, no token is left without the key that checks it.
                self._write(f"retired-{until.astimezone(UTC).strftime(_MOMENT)}-{uuid4().hex[:8]}.pem", _pem(old))
                self._write(self._signing.name, new_key())
                for path, ended_at in self._retired_files():
                    if ended_at <= now:
                        path.unlink()
        except OSError as error:
            raise Permanent(f"the keys in {self._folder} cannot be changed: {error.strerror}") from error

    def _looks(self) -> object:
        try:
            folder, signing = self._folder.stat(), self._signing.stat()
        except FileNotFoundError:
            return None
        return folder.st_mtime_ns, signing.st_mtime_ns, signing.st_ino

    def _retired(self) -> list[Retired]:
        return [Retired(public_key(path.read_text()), until) for path, until in self._retired_files()]

    def _retired_files(self) -> list[tuple[Path, datetime]]:
        found = ((path, _RETIRED.fullmatch(path.name)) for path in sorted(self._folder.iterdir()))
        return [(path, datetime.strptime(m[1], _MOMENT).replace(tzinfo=UTC)) for path, m in found if m]

    def _write(self, name: str, content: bytes) -> None:
        draft = self._folder / f".{name}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / name)


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
