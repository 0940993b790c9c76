"""Batches that devices and providers stream to us: taken as a whole and safe, or refused as a whole with the field."""

from datetime import datetime
from typing import Any

import msgspec

from caudal.common.bus import topics
from caudal.common.domain.catalog import ProviderType
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import checked_id
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Catalog, Clock
from caudal.ingest.domain.admission import NotAllowed, PushKey, checked_key, device_for, speaks_for
from caudal.ingest.handlers.accepting import Accepting, Arrival
from caudal.ingest.handlers.key_uses import KeyUses
from caudal.ingest.handlers.presence import Presence
from caudal.ingest.ports import ApiKeys, Tally


class StreamedReading(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured at one instant, in the canonical form."""

    measured_at: datetime
    values: dict[str, int | float | str | bool]
    logged_at: datetime | None = None


class Receiving:
    """Takes batches.

    Args:
        keys: Who may hand in what.
        uses: Hears which keys have come.
        catalog: Whose devices they are.
        accepting: Where readings go.
        presence: Hears of providers that have come.
        tally: Counts what is refused.
        clock: Which keys have expired.
    """

    def __init__(
        self,
        keys: ApiKeys,
        uses: KeyUses,
        catalog: Catalog,
        accepting: Accepting,
        presence: Presence,
        tally: Tally,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._uses = uses
        self._catalog = catalog
        self._accepting = accepting
        self._presence = presence
        self._tally = tally
        self._clock = clock

    async def admit(self, secret: str) -> PushKey:
        """The key with this secret.

        Raises:
            NotKnown: there is none that works.
            NotAllowed: it hands in no readings, or its provider is switched off.
            Transient: the catalog or the bus is away.
        """
        key = checked_key(await self._keys.of(secret), self._clock.now())
        if key.provider is not None:
            provider = await self._catalog.provider(key.provider)
            if provider is None or not provider.active:
                raise NotAllowed("this provider is switched off")
        await self._uses.used(key.id)
        return key

    async def take(self, secret: str, device: str, readings: list[StreamedReading]) -> int:
        """Hand on a batch; how many readings the broker has acknowledged.

        Args:
            secret: The sender's API key.
            device: Who measured; empty: the device that the key is for.
            readings: At least one.

        Raises:
            NotKnown, NotAllowed: as `admit`, or the device is another's.
            InvalidInput: a reading cannot be used, and none was taken.
            Transient: the bus or the catalog is away; some may have been taken, and all are to be sent again.
        """
        key = await self.admit(secret)
        device = checked_id(device_for(key, device), "device")
        await self._check_owner(key, device)
        arrival = _arrival(device, key.provider, readings)
        outcome = await self._accepting.understood(arrival)
        if outcome.refused:
            raise await self._refused(key, outcome.refused[0])
        await self._accepting.accept([arrival])
        if await self._is_streaming(key):
            self._presence.heard(str(key.provider))
        return len(outcome.readings)

    async def _check_owner(self, key: PushKey, device: str) -> None:
        point = await self._catalog.point_of(device)
        if point is None:
            return
        if key.device is not None:
            if key.client not in (None, point.client):
                raise NotAllowed(f"device {device!r} is no longer one of the key's client")
            return
        provider = await self._catalog.provider(key.provider or "")
        if provider is None or not speaks_for(provider, point):
            raise NotAllowed(f"device {device!r} is not one of provider {key.provider!r}")

    async def _is_streaming(self, key: PushKey) -> bool:
        """Whether a provider is shown by what it streams; of one that is asked, what is shown is how that goes."""
        provider = await self._catalog.provider(key.provider) if key.provider else None
        return provider is not None and provider.type is ProviderType.GRPC

    async def _refused(self, key: PushKey, error: Unreadable) -> InvalidInput:
        self._tally.rejected(Inlet.GRPC, error.kind)
        refusal = InvalidInput(_field_of(error), error.reason)
        if await self._is_streaming(key):
            self._presence.failed(str(key.provider), str(refusal))
        return refusal


def _arrival(device: str, provider: str | None, readings: list[StreamedReading]) -> Arrival:
    content: dict[str, Any] = {"readings": readings}
    topic = topics.TELEMETRY_UPLINK.address(device=device)
    return Arrival(topic, msgspec.json.encode(content), Inlet.GRPC, device, provider)


def _field_of(error: Unreadable) -> str:
    """Where it stands in the batch; a reader names the place of one of many only."""
    if error.kind in (Refusal.MAPPING, Refusal.UNDECODABLE):
        return error.field
    return f"readings{error.field}" if error.field.startswith("[") else f"readings[0].{error.field}"
