"""Sealed secrets, and how asking providers goes."""

from datetime import datetime
from typing import Protocol

from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.polling import PointPolling, ProviderPolling


class Sealing(Protocol):
    """Makes secrets unreadable to whoever has only the database."""

    def seal(self, place: str, secret: str) -> str:
        """`secret`, sealed for `place`."""
        ...


class Credentials(Protocol):
    """Sealed secrets of providers and points."""

    async def names(self, owner_kind: str, owner: str) -> dict[str, datetime]:
        """Which secrets are set, and since when."""
        ...

    async def secret(self, owner_kind: str, owner: str, name: str) -> str | None:
        """A secret in plain text; for what has to be checked here, such as signatures.

        Raises:
            Permanent: it cannot be unsealed.
        """
        ...

    async def reseal(self) -> int:
        """Seal all secrets with the newest key; how many."""
        ...


class PollingStates(Protocol):
    """What ingest knows of asking providers."""

    async def provider(self, code: str, scope: Scope) -> ProviderPolling | None:
        """How a provider is doing, and its points within the scope; None: it was never asked."""
        ...

    async def point(self, code: str) -> PointPolling | None:
        """How a point is doing; None: it was never asked for."""
        ...
