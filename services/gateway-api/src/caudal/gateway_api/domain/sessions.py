"""Sessions: a login, and the family of refresh tokens that keeps it going."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.merging import refuse_unprintable

RACE = timedelta(seconds=5)
"""A token that comes again so soon after it was used comes from a client that asked twice at once, not from a thief."""
MIN_PASSWORD = 12
"""Characters of a new password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of a user."""

    id: str
    user: str
    address: str | None
    agent: str
    """What the client said that it is."""
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A session as one of its refresh tokens finds it."""

    session: str
    user: str
    generation: int
    """Of the token that asks."""
    latest: int
    """Of the last token that was given."""
    renewed_at: datetime
    """When that one was given."""
    expires_at: datetime
    ended: bool


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom an access token is for."""

    user: str
    session: str


class Verdict(StrEnum):
    """What a refresh token is worth."""

    GOOD = "good"
    OVER = "over"
    """Its session has ended."""
    RACED = "raced"
    """Another request used it at the same moment; the session goes on for that one."""
    REUSED = "reused"
    """It was used before: it, or its successor, is in somebody else's hands."""


def judged(family: Family, now: datetime) -> Verdict:
    """What the token that found `family` is worth at `now`."""
    if family.ended or now >= family.expires_at:
        return Verdict.OVER
    if family.generation == family.latest:
        return Verdict.GOOD
    is_next_to_last = family.generation == family.latest - 1
    return Verdict.RACED if is_next_to_last and now - family.renewed_at < RACE else Verdict.REUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Somebody has forgotten a password."""

    id: str
    user: str
    requested_at: datetime
    expires_at: datetime
    address: str | None = None
    issued_by: str | None = None
    """Who issued a token for it; None: nobody yet."""
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReset:
    """Somebody who asked for a new password, as those who can give one see it."""

    id: str
    email: str
    client: str | None
    requested_at: datetime
    expires_at: datetime
    address: str | None
    issued_by: str | None


def checked_password(password: str, email: str, field: str) -> str:
    """`password`, if it may be one.

    Raises:
        InvalidInput: it may not; the error names `field`.
    """
    refuse_unprintable(password, field)
    if len(password) < MIN_PASSWORD:
        raise InvalidInput(field, f"needs at least {MIN_PASSWORD} characters")
    if len(set(password.strip())) < 2:
        raise InvalidInput(field, "is one character over and over")
    if password.strip().lower() == email:
        raise InvalidInput(field, "must not be the email")
    return password
