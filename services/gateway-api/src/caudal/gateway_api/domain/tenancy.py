"""Whose is it: clients, their users, owners of points, and what each user wants to be told."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, time
from enum import StrEnum

from caudal.common.domain.catalog import checked_zone
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import checked_id
from caudal.gateway_api.domain.merging import refuse_unprintable
from caudal.gateway_api.domain.permissions import Permission
from caudal.gateway_api.domain.texts import check_text

_email = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)*\Z")


class OwnerKind(StrEnum):
    """What somebody is to a point."""

    PRIMARY = "PRIMARY"
    SECONDARY = "SECONDARY"
    ADMINISTRATOR = "ADMINISTRATOR"


class NotificationType(StrEnum):
    """What somebody can be told about."""

    THRESHOLD = "THRESHOLD"
    """A value beyond its bounds."""
    CONSISTENCY = "CONSISTENCY"
    """Values that do not go together, resets of counters."""
    OFFLINE = "OFFLINE"
    """A point, a variable or a gateway has fallen silent, or is back."""
    COMPLIANCE = "COMPLIANCE"
    """What became of a submission to an authority."""
    CAMERA = "CAMERA"
    """Cameras, recordings and gateways."""


class Channel(StrEnum):
    """How somebody is told."""

    EMAIL = "EMAIL"
    SMS = "SMS"
    WEBHOOK = "WEBHOOK"
    IN_APP = "IN_APP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Somebody whose points, cameras and users are kept apart from everybody else's."""

    code: str
    name: str = ""
    active: bool = True
    """Whether its users and keys may come in."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user, as those see it who look after users."""

    id: str
    email: str
    """As `normal_email` spells it; unique."""
    name: str = ""
    role: str
    """Code of a role."""
    client: str | None = None
    """None: staff, who see all clients."""
    active: bool = True
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What a user is to a point, and what was agreed that the user may do there."""

    id: str
    """Made of user, point and kind."""
    user: str
    point: str
    kind: OwnerKind
    permissions: tuple[Permission, ...] = ()
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOwner(Owner):
    """An owner with the address of the user."""

    email: str | None = None
    """None: the user is nobody whom the caller sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What a user wants to be told, about one point or about all, and by which channels."""

    id: str
    """Made of user and point."""
    user: str
    point: str | None = None
    """None: all points of the user's client that have no preference of their own."""
    types: tuple[NotificationType, ...]
    channels: tuple[Channel, ...]
    quiet_from: str | None = None
    """Local time such as 22:00 from which on nothing is sent; None: no quiet hours."""
    quiet_to: str | None = None
    """Local time at which sending goes on; before `quiet_from` it is the next day's."""
    time_zone: str = "UTC"
    """Zone of the quiet hours and of the day that a summary is of."""
    daily_summary: bool = False
    """Whether a summary of the day is sent."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """What tied a user to a point, and went with the one or the other."""

    kind: str
    """As the audit log calls it."""
    what: Owner | Preference
    client: str | None
    """Whose it was: an owner follows the point, a preference the user."""


OWNER_PERMISSIONS = frozenset(
    {Permission.POINTS_READ, Permission.POINTS_WRITE, Permission.TELEMETRY_READ, Permission.TELEMETRY_WRITE}
)
"""What can be agreed with an owner: what is done to one point."""


def joined_id(*parts: str | None) -> str:
    """An id for what there is once for these parts."""
    return hashlib.blake2b("\n".join(part or "" for part in parts).encode(), digest_size=16).hexdigest()


def checked_client(client: Client) -> Client:
    """`client`, if it may be kept.

    Raises:
        InvalidInput: it may not; the error names the field.
    """
    checked_id(client.code, "code")
    check_text(client.name, "name")
    return client


def normal_email(email: str) -> str:
    """The one spelling of an address: case, and letters that can be written in several ways, tell no two apart."""
    return unicodedata.normalize("NFKC", email).strip().lower()


def checked_account(account: Account) -> Account:
    """`account` as it may be kept, with the one spelling of its address; raises as `checked_client`."""
    account = replace(account, email=normal_email(account.email))
    if len(account.email) > 254 or not _email.match(account.email) or not account.email.isprintable():
        raise InvalidInput("email", "is not an address such as ana@example.com")
    refuse_unprintable(account.email, "email")
    check_text(account.name, "name")
    return account


def checked_owner(owner: Owner) -> Owner:
    """`owner`, if it may be kept; raises as `checked_client`."""
    beyond = set(owner.permissions) - OWNER_PERMISSIONS
    if beyond:
        raise InvalidInput("permissions", f"{min(beyond)} is not about one point")
    _check_once(owner.permissions, "permissions")
    return owner


def checked_preference(preference: Preference) -> Preference:
    """`preference`, if it may be kept; raises as `checked_client`."""
    checked_zone(preference.time_zone, "time_zone")
    _check_once(preference.types, "types")
    _check_once(preference.channels, "channels")
    if (preference.quiet_from is None) != (preference.quiet_to is None):
        raise InvalidInput("quiet_to", "quiet hours need both quiet_from and quiet_to, or neither")
    for field in ("quiet_from", "quiet_to"):
        _check_time(getattr(preference, field), field)
    if preference.quiet_from is not None and preference.quiet_from == preference.quiet_to:
        raise InvalidInput("quiet_to", "is when the quiet hours begin")
    return preference


def _check_once(words: tuple[StrEnum, ...], field: str) -> None:
    if len(set(words)) < len(words):
        raise InvalidInput(field, "has one twice")


def _check_time(text: str | None, field: str) -> None:
    if text is None:
        return
    try:
        told = time.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(field, f"{text[:20]!r} is not a time of day such as 22:00") from error
    if told.strftime("%H:%M") != text:
        raise InvalidInput(field, f"{text[:20]!r} is not a time of day such as 22:00")
