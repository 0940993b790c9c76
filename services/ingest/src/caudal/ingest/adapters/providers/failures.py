"""What can go wrong with a request, as an outcome."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from caudal.ingest.ports import Failed

LONGEST_PAUSE_S = 86_400.0
"""A provider that wants to be left alone for longer is asked again the next day."""

_TRANSIENT = frozenset({408, 409, 423, 425, 429})
"""Client errors that time heals; those of 500 and more are, too."""


UNSUCCESSFUL = 200
"""Status of an answer that was sent as a success and says that it is none."""


class Failure(Exception):
    """Carries a `Failed` out of a request; never leaves a client."""

    def __init__(self, outcome: Failed, status: int | None = None) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.status = status


def transient(reason: str, raw: str = "") -> Failure:
    """Asking again may help."""
    return Failure(Failed(reason=reason, is_transient=True, raw=raw))


def unsuccessful(reason: str, raw: str) -> Failure:
    """An answer says of itself that it is none."""
    return Failure(Failed(reason=reason, is_transient=True, raw=raw), UNSUCCESSFUL)


def permanent(reason: str, raw: str = "") -> Failure:
    """Somebody has to change something first."""
    return Failure(Failed(reason=reason, is_transient=False, raw=raw))


def judged(who: str, status: int, said: str, retry_after_s: float | None) -> Failure:
    """The failure that an HTTP status above 399 means.

    Args:
        who: Host that answered.
        status: HTTP status.
        said: What it said, without secrets.
        retry_after_s: How long it wants to be left alone.
    """
    is_transient = status >= 500 or status in _TRANSIENT
    verdict = f"{who} answers {status}"
    if status in (401, 403):
        verdict = f"{who} refuses our credentials ({status})"
    reason = f"{verdict}: {' '.join(said.split())[:200]}" if said else verdict
    return Failure(Failed(reason=reason, is_transient=is_transient, retry_after_s=retry_after_s, raw=said), status)


def retry_after_s(header: str | None, now: datetime, date: str | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None: it says nothing usable.

    Args:
        header: As it came.
        now: This instant.
        date: The answer's Date header: by the provider's clock the pause is what it meant, whatever ours says.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 12:
        return min(float(text), LONGEST_PAUSE_S)
    at = _instant(text)
    if at is None:
        return None
    pause = (at - (_instant(date or "") or now)).total_seconds()
    return min(max(pause, 0.0), LONGEST_PAUSE_S)


def _instant(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at.replace(tzinfo=at.tzinfo or UTC)
