"""How providers are doing that come by themselves: noted at once, told to the record every second."""

import asyncio
from collections.abc import Collection
from datetime import datetime

import msgspec
import structlog

from caudal.common.domain.errors import Transient
from caudal.common.ports import Clock
from caudal.ingest.ports import PollingRecord, ProviderState

TELL_S = 1.0
"""How often the record hears of changes."""

_log = structlog.get_logger(__name__)


class Presence:
    """What is known of such providers.

    Args:
        record: Where it is shown.
        clock: When it was.
    """

    def __init__(self, record: PollingRecord, clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self._states: dict[str, ProviderState] = {}
        self._news: set[str] = set()

    def connected(self, provider: str) -> None:
        """A connection is there from now on."""
        now = self._clock.now()
        self._note(provider, connected_since=now, connected_at=now, error=None, error_at=None)

    def heard(self, provider: str) -> None:
        """It said something that was taken."""
        now = self._clock.now()
        self._note(provider, connected_at=now, heard_at=now, error=None, error_at=None)

    def failed(self, provider: str, reason: str) -> None:
        """Something it did, or that was tried with it, came to nothing."""
        self._note(provider, error=reason, error_at=self._clock.now())

    def gone(self, provider: str, reason: str | None = None) -> None:
        """There is no connection; None: because we ended it."""
        self._note(provider, connected_since=None)
        if reason is not None:
            self.failed(provider, reason)

    async def heard_at(self, provider: str) -> datetime | None:
        """When a provider was last heard, by any replica.

        Raises:
            Transient: the record is away.
        """
        await self._recall([provider])
        return self._states[provider].heard_at if provider in self._states else None

    async def tell(self) -> None:
        """Let the record know what is new.

        Raises:
            Transient: it is away; all is told next time.
        """
        await self._recall([each for each in self._news if self._states[each].heard_at is None])
        for provider in sorted(self._news):
            await self._record.asked([], self._states[provider])
            self._news.discard(provider)

    async def run(self) -> None:
        """Tell what is new every second, until cancelled."""
        while True:
            await asyncio.sleep(TELL_S)
            try:
                await self.tell()
            except Transient as error:
                _log.warning("cannot note how providers are", reason=str(error))

    def _note(self, provider: str, **changes: object) -> None:
        state = self._states.get(provider) or ProviderState(provider=provider)
        self._states[provider] = msgspec.structs.replace(state, **changes)
        self._news.add(provider)

    async def _recall(self, providers: Collection[str]) -> None:
        """Take in when these were heard before we were started, or by another replica."""
        if not providers:
            return
        recorded = await self._record.providers()
        for provider in providers:
            state = self._states.get(provider) or ProviderState(provider=provider)
            known = recorded.get(provider) or state
            heard = [at for at in (state.heard_at, known.heard_at) if at is not None]
            self._states[provider] = msgspec.structs.replace(state, heard_at=max(heard, default=None))
