"""Which mapping reads a device's payloads, made ready once and kept until the catalog says otherwise."""

from collections import OrderedDict
from datetime import datetime
from typing import Any

import msgspec

from caudal.common.domain.catalog import Point, Provider
from caudal.common.domain.errors import InvalidInput, Permanent
from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import Outcome, Reader
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.payloads.zones import Zones, zones_of
from caudal.common.ports import Catalog

MAX_KEPT = 10_000
"""Readers in memory, as many as points in `CachedCatalog`."""
CANONICAL = "caudal"
"""The preset that holds where the catalog names none."""
UNCLAIMED = "no point claims this device and its payload is not in the canonical form"
"""The reason of payloads that only a mapping could make sense of."""


class Known(msgspec.Struct, frozen=True):
    """A reader, and the catalog entries that it was made for."""

    point: Point | None
    provider: Provider | None
    reader: Reader


class Readers:
    """Readers by device and by provider.

    A reader is made again when the catalog hands out another object for its entry, so there is nothing to forget.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._canonical = Reader(mapping_from(CANONICAL))
        self._flat = Reader(mapping_from("flat"))

    async def read(self, device: str, payload: Any, received_at: datetime, preset: str = CANONICAL) -> Outcome:
        """What the point that claims `device` makes of a payload; nobody claims it: what can be made of it anyway.

        Args:
            device: Whose payload it is.
            payload: Plain data.
            received_at: When it came.
            preset: What is spoken at this door, unless the catalog says otherwise.

        Raises:
            Unreadable: the point's mapping cannot be used.
            Transient: the catalog cannot be reached.
        """
        point, provider = await self._owners(device)
        if point is None and preset == CANONICAL:
            return self._unclaimed(payload, received_at)
        return self._made(f"{preset}/{device}", point, provider, preset).read(payload, received_at)

    async def of_provider(self, code: str) -> Reader:
        """The reader of what a provider pushes.

        Raises:
            Unreadable: there is no such provider, it is not active, or its mapping cannot be used.
            Transient: the catalog cannot be reached.
        """
        try:
            provider = await self._catalog.provider(code)
        except Permanent as error:
            raise Unreadable(Refusal.MAPPING, "provider", str(error)) from error
        if provider is None or not provider.active:
            state = "is not in the catalog" if provider is None else "is not active"
            raise Unreadable(Refusal.MAPPING, "provider", f"{code!r} {state}")
        return self._made(f"/{code}", None, provider, CANONICAL)

    async def _owners(self, device: str) -> tuple[Point | None, Provider | None]:
        """The point that claims `device`, and its provider if that one's mapping is needed."""
        try:
            point = await self._catalog.point_of(device)
            provider = None
            if point is not None and point.mapping is None and point.provider:
                provider = await self._catalog.provider(point.provider)
        except Permanent as error:
            raise Unreadable(Refusal.MAPPING, "point", str(error)) from error
        return point, provider

    def _made(self, key: str, point: Point | None, provider: Provider | None, preset: str) -> Reader:
        known = self._known.get(key)
        if known is not None and known.point is point and known.provider is provider:
            return known.reader
        mapping = (point.mapping if point else None) or (provider.mapping if provider else preset)
        try:
            reader = Reader(mapping_from(mapping), _zone_of(point, provider))
        except InvalidInput as error:
            raise Unreadable(Refusal.MAPPING, error.field, error.reason) from error
        self._known[key] = Known(point, provider, reader)
        while len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)
        return reader

    def _unclaimed(self, payload: Any, received_at: datetime) -> Outcome:
        """The canonical form; a flat one too, but only if it leaves no doubt about the time of any reading."""
        canonical = self._canonical.read(payload, received_at)
        if canonical.readings or any(error.kind is not Refusal.SHAPE for error in canonical.refused):
            return canonical
        flat = self._flat.read(payload, received_at)
        if flat.readings:
            return flat
        reason = canonical.refused[0]
        raise Unreadable(Refusal.MAPPING, reason.field, f"{UNCLAIMED}: {reason.reason}")


def _zone_of(point: Point | None, provider: Provider | None) -> str | Zones | None:
    """Of times without one: the point's, each for its time; where no point is asked, the provider's."""
    if point is not None:
        return zones_of(point)
    return provider.time_zone if provider is not None else None
