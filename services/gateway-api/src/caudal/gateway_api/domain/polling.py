"""How asking providers goes, as the API shows it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPolling:
    """What came of asking a provider for one point; None: it never happened."""

    asked_at: datetime | None = None
    answered_at: datetime | None = None
    """When the provider last answered, with or without values."""
    measured_until: datetime | None = None
    """The newest instant of which a value came."""
    complete_until: datetime | None = None
    """Until here every variable is complete."""
    complete_from: datetime | None = None
    """From here on every variable is there; it moves back while an older history is fetched (`source.history_from`)."""
    failures: int = 0
    """In a row."""
    error: str | None = None
    """Why it failed last; null once it is answered again."""
    error_at: datetime | None = None
    is_behind: bool = False
    """Whether there is more to fetch, and it goes on in the next round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPolling:
    """What came of asking a provider; None: it never happened."""

    connected_at: datetime | None = None
    """When it last answered, or said something by itself."""
    connected_since: datetime | None = None
    """Of one that we listen to: since when; null: there is no connection."""
    heard_at: datetime | None = None
    """Of one that comes by itself: when it last said something."""
    error: str | None = None
    """Why it failed last; null once it answers, is connected or is heard again."""
    error_at: datetime | None = None
    open_until: datetime | None = None
    """Until then it is left alone."""
    points: int = 0
    """Points that it was asked for."""
    failing: int = 0
    """Of these, those that failed last."""
    oldest_measured_until: datetime | None = None
    """`measured_until` of the point that is the furthest behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSourceStatus:
    """How asking for a point goes, and the secrets of its own that are set."""

    point: str
    provider: str | None
    is_asked: bool
    """Whether its provider is asked for it in rounds."""
    lag_s: float | None
    """How old the newest value is; null: there is none."""
    polling: PointPolling
    credentials: dict[str, datetime]
    """Names of the secrets that are set, and since when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """How asking a provider goes, and which of its secrets are set."""

    provider: str
    is_asked: bool
    """Whether it is asked in rounds."""
    last_connection: datetime | None
    last_error: str | None
    lag_s: float | None
    """How old the newest value is of the point that is the furthest behind; null: there is none."""
    polling: ProviderPolling
    credentials: dict[str, datetime]
    """Names of the secrets that are set, and since when."""


def lag_s(now: datetime, measured_until: datetime | None) -> float | None:
    """Seconds since the newest value; None: there is none."""
    return None if measured_until is None else round((now - measured_until).total_seconds(), 1)
