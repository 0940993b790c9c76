"""How providers are doing that come by themselves: noted at once, told to the record every few seconds."""

import asyncio

import msgspec
import structlog

from caudal.common.domain.errors import Transient
from caudal.common.ports import Clock
from caudal.ingest.ports import PollingRecord, ProviderState

TELL_S = 3.0
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
        self._recalled = False

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

    async def tell(self) -> None:
        """Let the record know what is new.

        Raises:
            Transient: it is away; all is told next time.
        """
        if not self._news:
            return
        await self._recall()
        for provider in sorted(self._news):
            await self._record.asked([], self._states[provider])
            self._news.discard(provider)

    async def run(self) -> None:
        """Tell what is new every few seconds, until cancelled."""
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

    async def _recall(self) -> None:
        """Take in what was noted before we were started."""
        if self._recalled:
            return
        for provider, before in (await self._record.providers()).items():
            state = self._states.get(provider)
            if state is not None and state.heard_at is None:
                self._states[provider] = msgspec.structs.replace(state, heard_at=before.heard_at)
        self._recalled = True
