"""What doors need through which readings come by themselves, for as long as somebody keeps them open."""

from datetime import datetime
from typing import Protocol

import msgspec


class PushKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, as far as it is about handing readings in."""

    provider: str | None = None
    """Whose devices' readings it hands in."""
    device: str | None = None
    """The only device whose readings it hands in; None: all of the provider's."""
    may_push: bool = True
    expires_at: datetime | None = None


class ApiKeys(Protocol):
    """API keys, by what is kept of their secrets."""

    async def of(self, secret: str) -> PushKey | None:
        """The key with this secret, if it was not revoked; what is told may be a few seconds old.

        Raises:
            Transient: the catalog cannot be reached.
        """
        ...
