"""Bodies that providers push, and how a repeated push is recognised."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PushState(StrEnum):
    """How far a push with an Idempotency-Key has come."""

    CLAIMED = "claimed"
    """Somebody is publishing it."""
    PUBLISHED = "published"
    """The broker has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushClaim:
    """What is known of one Idempotency-Key of a provider."""

    id: str
    """Of the push that was, or is being, published."""
    digest: str
    state: PushState
    claimed_at: datetime
    is_ours: bool
    """Whether the asker is the one who has to publish."""


def digest_of(body: bytes) -> str:
    """The same for the same body, and for no other."""
    return hashlib.sha256(body).hexdigest()
