"""The private key that signs tokens: from a setting, or made once and kept in a file that only its owner reads."""

import os
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from caudal.common.domain.errors import Permanent

_BLOCK = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


def signing_key(text: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in PEM `text`.

    Raises:
        Permanent: there is no such key in it.
    """
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Permanent("the signing key is no PEM of a private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Permanent("the signing key must be an EC key on P-256 (ES256)")
    return key


def signing_keys(text: str) -> list[ec.EllipticCurvePrivateKey]:
    """Every P-256 key in PEM `text`, in order; raises as `signing_key` when there is none."""
    return [signing_key(block) for block in _BLOCK.findall(text) or [text]]


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """The public P-256 key in PEM `text`.

    Raises:
        Permanent: there is no such key in it.
    """
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Permanent("a retired key is no PEM of a public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Permanent("a retired key must be an EC key on P-256 (ES256)")
    return key


def kept_signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in `path`; made there, with mode 0600, if there is none. Of several that make it at once, one wins.

    Raises:
        Permanent: the file holds no such key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(new_key())
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, unlike a rename, fails where another process has put its key in the meantime.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return signing_key(path.read_text())


def new_key() -> bytes:
    """The PEM of a P-256 key that never was before."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
