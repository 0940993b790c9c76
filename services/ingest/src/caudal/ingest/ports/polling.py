"""What rounds need: who is to be asked, with which secrets, and what is remembered of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

import msgspec

from caudal.common.domain.catalog import Point, Provider
from caudal.ingest.domain.breaker import Breaker
from caudal.ingest.domain.schedule import PointState
from caudal.ingest.ports.providers import ProviderClient

Marks = dict[tuple[str, date], dict[datetime, int]]
"""By variable and day, instants to a mark of the value that was handed on; nothing: forget that day."""


class Fleet(Protocol):
    """The catalog, as a round of polling reads it: all at once."""

    async def providers(self) -> Sequence[Provider]:
        """All providers.

        Raises:
            Transient: the catalog cannot be reached.
        """
        ...

    async def sourced(self) -> Sequence[Point]:
        """All points with a source and a provider, without their variables.

        Raises:
            Transient: as `providers`.
        """
        ...

    async def codes(self) -> Sequence[str]:
        """Of all points, whether somebody is asked for them or not.

        Raises:
            Transient: as `providers`.
        """
        ...


class Vault(Protocol):
    """Secrets as they were at the beginning of a round."""

    def of(self, owner_kind: str, owner: str) -> dict[str, str]:
        """Name to secret, of a `provider` or a `point`.

        Raises:
            Permanent: one of them cannot be unsealed.
        """
        ...

    def mark(self, owner_kind: str, owner: str) -> int:
        """Another number whenever they were set anew."""
        ...


class Secrets(Protocol):
    """The sealed secrets."""

    async def vault(self) -> Vault:
        """All of them, as they are now.

        Raises:
            Transient: they cannot be reached.
        """
        ...


class ProviderClients(Protocol):
    """Clients, made ready and kept as long as nothing about them changes."""

    def of(self, provider: Provider, point: str, vault: Vault) -> ProviderClient:
        """The client that asks for a point.

        Raises:
            Permanent: the provider's settings or secrets cannot be used; the error says which.
        """
        ...


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of asking a provider."""

    provider: str
    connected_at: datetime | None = None
    """When it last answered, or said something by itself."""
    connected_since: datetime | None = None
    """Of one that keeps a connection open: since when; None: there is none."""
    heard_at: datetime | None = None
    """Of one that comes by itself: when it last said something."""
    error: str | None = None
    """Why it failed last; it stays until the next answer."""
    error_at: datetime | None = None
    breaker: Breaker = Breaker()


class PollingRecord(Protocol):
    """What was asked, and how far it is complete. Every method raises `Transient` when it cannot be reached."""

    async def begin(self, holder: str, now: datetime, until: datetime, gap_until: datetime) -> bool:
        """Whether a round may begin: nobody else has one under way, and the last one began before `gap_until`.

        Args:
            holder: Who begins; its own round that a crash cut short may begin again at once.
            now: This instant.
            until: When the others may take the round for dead.
            gap_until: The latest beginning of the round before.
        """
        ...

    async def end(self, holder: str, *, is_done: bool) -> None:
        """The round is over; if it is not done, another may begin at once."""
        ...

    async def points(self) -> dict[str, PointState]:
        """What is remembered, by point."""
        ...

    async def providers(self) -> dict[str, ProviderState]:
        """What is remembered, by provider."""
        ...

    async def cursors(self) -> dict[str, dict[str, datetime]]:
        """By point and variable, the instant until which everything was handed on."""
        ...

    async def histories(self) -> dict[str, dict[str, datetime]]:
        """By point and variable, the instant from which on everything was handed on."""
        ...

    async def handed(self, point: str) -> Marks:
        """What is remembered of what was handed on of a point."""
        ...

    async def move(
        self, point: str, cursors: Mapping[str, datetime], now: datetime, handed: Marks | None = None
    ) -> None:
        """Move a point's cursors, never back unless one lies ahead of `now`; keep what was handed on."""
        ...

    async def reach(self, point: str, since: Mapping[str, datetime]) -> None:
        """Keep from when on everything was handed on of some of a point's variables."""
        ...

    async def asked(self, points: Sequence[PointState], provider: ProviderState) -> None:
        """Keep how a provider and some of its points are doing."""
        ...

    async def tidy(self, asked: Sequence[str], points: Sequence[str]) -> None:
        """Forget how all points but `asked` are doing, and all but `points` altogether.

        A point that is not asked for at the moment goes on from where it was as soon as it is again.
        """
        ...
