"""What doors need through which readings come by themselves, for as long as somebody keeps them open."""

from typing import Protocol

from caudal.ingest.domain.admission import PushKey


class ApiKeys(Protocol):
    """API keys, by their secrets."""

    async def of(self, secret: str) -> PushKey | None:
        """The key with this secret, if it is in force; what is told may be a few seconds old.

        Raises:
            Transient: the catalog cannot be reached.
        """
        ...
