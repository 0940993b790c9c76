"""Secrets of providers and points in the database: sealed with keys that are not there."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from caudal.common.domain.errors import Permanent
from caudal.common.settings import CredentialSettings

KEPT = Path("keys") / "credentials.key"
"""Where keys are below the data folder, one a line, newest first, unless a setting gives them."""

Keys = Callable[[], Sequence[str]]
"""The keys as they are now, newest first."""

_log = structlog.get_logger(__name__)


class Sealer:
    """Seals texts for one place each: what was sealed for a place cannot be unsealed at another.

    Args:
        keys: Newest first; the first one seals, all of them unseal. As they are once and for all, or as they are now:
            whoever puts a new one before them need not start anything again.

    Raises:
        Permanent: there is none, or one is no key.
    """

    def __init__(self, keys: Sequence[str] | Keys) -> None:
        self._now: Keys = keys if callable(keys) else lambda: keys
        self._known = tuple(self._now())
        self._ring = _ring(self._known)

    def _keys(self) -> MultiFernet:
        """The keys as they are now; those known before, where what is there now are none."""
        try:
            now = tuple(self._now())
            if now != self._known:
                self._known, self._ring = now, _ring(now)
                _log.info("keys for credentials have changed", keys=len(now))
        except (Permanent, OSError, ValueError) as error:
            _log.error("keys for credentials cannot be read, those known before count", reason=str(error))
        return self._ring

    def seal(self, place: str, secret: str) -> str:
        """`secret` for `place`, as text that says nothing without a key."""
        return self._keys().encrypt(msgspec.json.encode([place, secret])).decode()

    def unseal(self, place: str, sealed: str) -> str:
        """What was sealed for `place`.

        Raises:
            Permanent: it was sealed with another key, for another place, or is no seal.
        """
        try:
            where, secret = msgspec.json.decode(self._keys().decrypt(sealed), type=tuple[str, str])
        except (InvalidToken, ValueError, msgspec.MsgspecError) as error:
            raise Permanent(f"the credential of {place} cannot be unsealed: was its key thrown away?") from error
        if where != place:
            raise Permanent(f"the credential of {place} was sealed for another place")
        return secret


def place_of(owner_kind: str, owner: str, name: str) -> str:
    """The place for which a secret of a provider or a point is sealed."""
    return f"{owner_kind}/{owner}/{name}"


def open_sealer(settings: CredentialSettings, data_dir: Path) -> Sealer:
    """A sealer with the keys that are set; else with those in a file, made there if need be and read again on change.

    Raises:
        Permanent: they are no keys.
    """
    given = settings.credentials_keys.get_secret_value() if settings.credentials_keys else ""
    if given.strip():
        return Sealer([key.strip() for key in given.split(",") if key.strip()])
    path = Path(settings.credentials_file) if settings.credentials_file else data_dir / KEPT
    _make(path)
    return Sealer(KeyFile(path))


class KeyFile:
    """The keys in a file, one a line, newest first; read when it is another than last time.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: list[str] = []

    def __call__(self) -> Sequence[str]:
        """The keys as they are now.

        Raises:
            OSError: the file cannot be read.
        """
        found = self._path.stat()
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._keys, self._seen = self._path.read_text().split(), seen
        return self._keys


def new_key() -> str:
    """A key that nobody has had."""
    return Fernet.generate_key().decode()


def _ring(keys: Sequence[str]) -> MultiFernet:
    if not keys:
        raise Permanent("there is no key for credentials")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise Permanent("a key for credentials is not 32 bytes in URL-safe base64") from error


def _make(path: Path) -> None:
    """Make a key in `path`, with mode 0600, if there is none. Of several that make it at once, one wins."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{new_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, unlike a rename, fails where another process has put its key in the meantime.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
