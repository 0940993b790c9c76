"""What doors need through which readings come by themselves, for as long as somebody keeps them open."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from caudal.common.domain.catalog import Provider
from caudal.ingest.domain.admission import PushKey


class ApiKeys(Protocol):
    """API keys, by their secrets."""

    async def of(self, secret: str) -> PushKey | None:
        """The key with this secret, if it is in force; what is told may be a few seconds old.

        Raises:
            Transient: the catalog cannot be reached.
        """
        ...


class Feed(Protocol):
    """A connection on which a provider says what was measured."""

    async def message(self) -> bytes:
        """The next message; nothing more is read before it is asked for.

        Raises:
            Transient: there will be none; the connection is lost.
        """
        ...

    def shown(self, message: bytes) -> str:
        """The beginning of a message for people, without secrets."""
        ...


class Feeds(Protocol):
    """Opens connections to providers."""

    def open(
        self, provider: Provider, secrets: Mapping[str, str], since: datetime | None
    ) -> AbstractAsyncContextManager[Feed]:
        """A connection on which all has been said that we say first.

        Args:
            provider: Whose.
            secrets: By name.
            since: When it was last heard, as far as is known.

        Raises:
            Transient: it cannot be reached, or ends the conversation; the words hold nothing secret.
            Permanent: it refuses, or its settings or secrets cannot be used.
        """
        ...


class Lease(Protocol):
    """Something that one of us has at a time."""

    async def hold(self, holder: str, now: datetime, until: datetime) -> bool:
        """Whether it is ours from now on, as far as `until`; if it was before, it stays so.

        Raises:
            Transient: nobody can tell.
        """
        ...

    async def release(self, holder: str) -> None:
        """Somebody else may have it; nothing, if it is not ours.

        Raises:
            Transient: it cannot be given back; it ends by itself.
        """
        ...
