"""Secrets of providers and points in the database: sealed with keys that are not there."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from caudal.common.domain.errors import Permanent
from caudal.common.settings import CredentialSettings

KEPT = Path("keys") / "credentials.key"
"""Where keys are below the data folder, one a line, newest first, unless a setting gives them."""


class Sealer:
    """Seals texts for one place each: what was sealed for a place cannot be unsealed at another.

    Args:
        keys: Newest first; the first one seals, all of them unseal.

    Raises:
        Permanent: there is none, or one is no key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise Permanent("there is no key for credentials")
        try:
            self._keys = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise Permanent("a key for credentials is not 32 bytes in URL-safe base64") from error

    def seal(self, place: str, secret: str) -> str:
        """`secret` for `place`, as text that says nothing without a key."""
        return self._keys.encrypt(msgspec.json.encode([place, secret])).decode()

    def unseal(self, place: str, sealed: str) -> str:
        """What was sealed for `place`.

        Raises:
            Permanent: it was sealed with another key, for another place, or is no seal.
        """
        try:
            where, secret = msgspec.json.decode(self._keys.decrypt(sealed), type=tuple[str, str])
        except (InvalidToken, ValueError, msgspec.MsgspecError) as error:
            raise Permanent(f"the credential of {place} cannot be unsealed: was its key thrown away?") from error
        if where != place:
            raise Permanent(f"the credential of {place} was sealed for another place")
        return secret


def place_of(owner_kind: str, owner: str, name: str) -> str:
    """The place for which a secret of a provider or a point is sealed."""
    return f"{owner_kind}/{owner}/{name}"


def open_sealer(settings: CredentialSettings, data_dir: Path) -> Sealer:
    """A sealer with the keys that are set; with those kept below `data_dir`, made there if need be, where none are.

    Raises:
        Permanent: they are no keys.
    """
    given = settings.credentials_keys.get_secret_value() if settings.credentials_keys else ""
    if given.strip():
        return Sealer([key.strip() for key in given.split(",") if key.strip()])
    return Sealer(_kept_keys(data_dir / KEPT).split())


def new_key() -> str:
    """A key that nobody has had."""
    return Fernet.generate_key().decode()


def _kept_keys(path: Path) -> str:
    """The keys in `path`; one is made, with mode 0600, if there is none. Of several that make it at once, one wins."""
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
    return path.read_text()
