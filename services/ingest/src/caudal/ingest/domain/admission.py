"""Who may hand in readings of which device."""

from datetime import datetime

import msgspec

from caudal.common.domain.catalog import Point, Provider
from caudal.common.domain.errors import Permanent


class NotKnown(Permanent):
    """Nobody knows who this is."""


class NotAllowed(Permanent):
    """Who this is may not do that."""


class PushKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, as far as it is about handing readings in."""

    id: str = ""
    """Under which gateway-api knows it."""
    provider: str | None = None
    """Whose devices' readings it hands in."""
    device: str | None = None
    """The only device whose readings it hands in; None: all of the provider's."""
    client: str | None = None
    """Whose point alone the device may be; None: anybody's."""
    may_push: bool = True
    expires_at: datetime | None = None


def checked_key(key: PushKey | None, now: datetime) -> PushKey:
    """`key`, if readings may be handed in with it.

    Raises:
        NotKnown: there is none, or it has expired.
        NotAllowed: it is for other things.
    """
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        raise NotKnown("the API key is not valid")
    if not key.may_push:
        raise NotAllowed("this API key may not do this: it needs telemetry:push")
    if key.provider is None and key.device is None:
        raise NotAllowed("this API key is for no device and for no provider")
    return key


def device_for(key: PushKey, named: str) -> str:
    """The device whose readings are handed in; empty `named`: the key's own.

    Raises:
        NotAllowed: the key is for another device, or for none in particular.
    """
    device = named or key.device
    if device is None:
        raise NotAllowed("this API key is for many devices: name one in `device`")
    if key.device not in (None, device):
        raise NotAllowed(f"this API key is not for device {device!r}")
    return device


def speaks_for(provider: Provider, point: Point) -> bool:
    """Whether readings of a point may come from a provider: from its own, and where it has none, from one that is
    shared by all clients or of the point's client."""
    return provider.code == point.provider or (point.provider is None and provider.client in (None, point.client))
