"""How a request is recognised that comes again with the same Idempotency-Key."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from caudal.common.domain.errors import InvalidInput

MAX_KEY_LENGTH = 255
"""Of an Idempotency-Key."""


class ClaimState(StrEnum):
    """How far the first request with a key has come."""

    CLAIMED = "claimed"
    """Somebody is at it."""
    DONE = "done"
    """It is done, and its answer is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One of perhaps many requests that are to have one effect."""

    owner: str
    """Whose key it is; others may use the same."""
    key: str
    """Digest of the Idempotency-Key."""
    digest: str
    """Of the key and of all that the request asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is known of one Idempotency-Key."""

    id: str
    """Of what is being, or was, done."""
    digest: str
    state: ClaimState
    claimed_at: datetime
    answer: str | None
    """Of what was done."""
    is_ours: bool
    """Whether the asker is the one who has to do it."""


def attempt_of(owner: str, key: str, *asked: bytes) -> Attempt:
    """An attempt of `owner` to have these parts of a request done under an Idempotency-Key.

    The key itself is not kept: without it nobody who reads the table can try passwords against a body's digest.

    Raises:
        InvalidInput: the key is empty, too long or unprintable.
    """
    known = checked_key(key).encode()
    return Attempt(owner=owner, key=_digest_of(known), digest=_digest_of(known, *asked))


def _digest_of(*parts: bytes) -> str:
    """The same for the same parts, and for no others."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()


def checked_key(key: str) -> str:
    """`key`, if it may be an Idempotency-Key.

    Raises:
        InvalidInput: it is empty, too long or unprintable.
    """
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise InvalidInput("Idempotency-Key", f"must be 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    return key
