"""Which version of something a caller has seen, so that nobody overwrites what they don't know of."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from caudal.gateway_api.domain.errors import Stale

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """An entry of the catalog, and since when it is there and as it is."""

    entry: T
    created_at: datetime
    updated_at: datetime


def version_of(entry: object) -> str:
    """A text that differs when `entry` differs."""
    return hashlib.blake2b(msgspec.json.encode(entry, order="sorted"), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Expected:
    """The versions that a caller would change."""

    versions: frozenset[str] | None
    """None: whichever is there."""

    def check(self, entry: object) -> None:
        """Nothing, if `entry` is what the caller would change.

        Raises:
            Stale: it has changed since.
        """
        if self.versions is not None and version_of(entry) not in self.versions:
            raise Stale("it has changed since you read it: read it again")


ANY = Expected(None)
"""What a caller expects who says nothing."""
