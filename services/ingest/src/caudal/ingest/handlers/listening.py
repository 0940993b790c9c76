"""Providers that say by themselves what was measured: each has a connection, kept for as long as it is wanted."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

import structlog

from caudal.common.domain.catalog import Provider, ProviderType
from caudal.common.domain.errors import CaudalError, Permanent, Transient
from caudal.common.ports import Clock
from caudal.ingest.handlers.hearing import Hearing
from caudal.ingest.handlers.presence import Presence
from caudal.ingest.ports import Feeds, Fleet, Lease, Secrets, Vault

LOOK_S = 2.0
"""How often the catalog is looked at, and how soon a change of it takes effect."""
LEASE_S = 20.0
"""After so long without a word of the replica that listens, another may."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Before connecting anew; the pause doubles from one failure to the next."""
REFUSED_PAUSE_S = 30.0
"""The first pause after a refusal, or where the settings cannot be used."""
STEADY_S = 60.0
"""A connection that lasted so long counts as a success."""

_log = structlog.get_logger(__name__)


class Wanted(NamedTuple):
    """A connection as the catalog wants it; where one of the two changes, it is made anew."""

    provider: Provider
    secrets: Mapping[str, str]


class Listening:
    """Listens to all providers that are to be listened to.

    Args:
        fleet: Who they are.
        secrets: What they want to hear from us.
        feeds: Opens connections.
        hearing: Hands on what is said on one.
        presence: Hears how each is doing.
        lease: One replica listens; two would tell everything twice.
        clock: What time it is.
        holder: Our name among replicas.
    """

    def __init__(
        self,
        fleet: Fleet,
        secrets: Secrets,
        feeds: Feeds,
        hearing: Hearing,
        presence: Presence,
        lease: Lease,
        clock: Clock,
        *,
        holder: str,
    ) -> None:
        self._fleet = fleet
        self._secrets = secrets
        self._feeds = feeds
        self._hearing = hearing
        self._presence = presence
        self._lease = lease
        self._clock = clock
        self._holder = holder
        self._lines: dict[str, tuple[Wanted, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Listen until cancelled; what has been heard by then is handed on."""
        try:
            while True:
                try:
                    await self.look()
                except Transient as error:
                    # Whoever is connected stays so: nobody else can look at the catalog either.
                    _log.warning("cannot see who is to be listened to", reason=str(error))
                await asyncio.sleep(LOOK_S)
        finally:
            await self._hang_up(list(self._lines))
            await self._release()

    async def look(self) -> None:
        """Bring connections in line with the catalog.

        Raises:
            Transient: it cannot be looked at.
        """
        wanted = await self._wanted()
        changed = [code for code, (as_it_is, _) in self._lines.items() if wanted.get(code) != as_it_is]
        await self._hang_up(changed)
        for code, as_wanted in wanted.items():
            if code not in self._lines:
                task = asyncio.create_task(self._listen(as_wanted), name=f"listen to {code}")
                self._lines[code] = (as_wanted, task)

    async def check(self) -> dict[str, int]:
        """How many connections are looked after."""
        return {"connections": len(self._lines)}

    async def _wanted(self) -> dict[str, Wanted]:
        providers = [provider for provider in await self._fleet.providers() if is_listened_to(provider)]
        if not providers:
            return {}
        now = self._clock.now()
        if not await self._lease.hold(self._holder, now, now + timedelta(seconds=LEASE_S)):
            return {}
        vault = await self._secrets.vault()
        return {provider.code: Wanted(provider, self._told(vault, provider)) for provider in providers}

    def _told(self, vault: Vault, provider: Provider) -> Mapping[str, str]:
        try:
            return vault.of("provider", provider.code)
        except Permanent as error:
            self._presence.failed(provider.code, str(error))
            return {}

    async def _hang_up(self, codes: list[str]) -> None:
        tasks = [self._lines.pop(code)[1] for code in codes]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _release(self) -> None:
        try:
            await self._lease.release(self._holder)
        except Transient as error:
            _log.info("others have to wait until our turn ends by itself", reason=str(error))

    async def _listen(self, wanted: Wanted) -> None:
        """Keep one connection, until cancelled."""
        code, pause_s = wanted.provider.code, FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        self._presence.gone(code)
        while True:
            begun = loop.time()
            try:
                await self._connection(wanted)
            except CaudalError as error:
                reason, is_refusal = str(error), isinstance(error, Permanent)
            except asyncio.CancelledError:
                self._presence.gone(code)
                raise
            except Exception as error:  # noqa: BLE001 - a fault with one provider is not another's
                # Without the message and the trace: either may quote an address with a secret in it.
                reason, is_refusal = f"our client failed: {type(error).__name__}", True
            if loop.time() - begun > STEADY_S:
                pause_s = FIRST_PAUSE_S
            pause_s = max(pause_s, REFUSED_PAUSE_S) if is_refusal else pause_s
            self._presence.gone(code, reason)
            _log.warning("provider is not connected", provider=code, reason=reason, wait_s=pause_s)
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    async def _connection(self, wanted: Wanted) -> None:
        """One connection, from its beginning to its end, which always has a reason.

        Raises:
            CaudalError: the reason.
        """
        provider = wanted.provider
        since = await self._presence.heard_at(provider.code)
        async with self._feeds.open(provider, wanted.secrets, since) as feed:
            self._presence.connected(provider.code)
            _log.info("provider is connected", provider=provider.code)
            await self._hearing.hear(feed, provider)


def is_listened_to(provider: Provider) -> bool:
    """Whether we keep a connection to this provider."""
    return provider.type is ProviderType.WEBSOCKET and provider.active and not provider.testing
