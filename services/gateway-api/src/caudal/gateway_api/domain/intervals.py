"""Instants, ranges and widths of intervals as people write them in a URL."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from caudal.common.domain.errors import InvalidInput

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""No reading is older."""
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""No reading is younger; what a store counts in nanoseconds still fits."""
MAX_INTERVALS = 100_000
"""Of one answer."""

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_every = re.compile(r"([1-9][0-9]{0,6})([smhdw])\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Range:
    """[start, end), UTC."""

    start: datetime
    end: datetime


def instant(text: str, field: str) -> datetime:
    """An RFC 3339 time with a zone, in UTC, between `EARLIEST` and `LATEST`.

    Raises:
        InvalidInput: it is none; the error names `field`.
    """
    try:
        # A plus sign that was not escaped in a URL arrives as a blank.
        at = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)\Z", r"+\1", text))
    except ValueError as error:
        raise InvalidInput(field, f"{text[:80]!r} is not a time such as 2026-03-02T10:00:00Z") from error
    if at.tzinfo is None:
        raise InvalidInput(field, f"{text[:80]!r} needs a time zone, such as Z or -04:00")
    return within_bounds(at, field)


def within_bounds(at: datetime, field: str) -> datetime:
    """`at` in UTC, if a reading can be of that time.

    Raises:
        InvalidInput: it lies before `EARLIEST` or after `LATEST`.
    """
    if not EARLIEST <= at <= LATEST:
        raise InvalidInput(field, f"must lie between {EARLIEST:%Y} and {LATEST:%Y}")
    return at.astimezone(UTC)


def range_of(start: datetime | None, end: datetime | None, now: datetime, width: timedelta) -> Range:
    """The range asked for; without an end it ends now, without a start it is `width` wide.

    Raises:
        InvalidInput: it ends before it starts.
    """
    end = end or max(now, start or now)
    start = start if start is not None else max(end - width, EARLIEST)
    if start > end:
        raise InvalidInput("from", "must not be after `to`")
    return Range(start, end)


def every(text: str) -> timedelta:
    """A width such as 30s, 5m, 1h, 1d or 1w.

    Raises:
        InvalidInput: it is none.
    """
    found = _every.match(text)
    if not found:
        raise InvalidInput("every", f"{text[:40]!r} is not a width such as 5m, 1h or 1d")
    width = timedelta(seconds=int(found[1]) * _UNIT_SECONDS[found[2]])
    if width > timedelta(days=366):
        raise InvalidInput("every", "must not be wider than 366 days")
    return width


def check_interval_count(asked: Range, width: timedelta) -> None:
    """Nothing, if the range has no more intervals than one answer holds.

    Raises:
        InvalidInput: it has more.
    """
    count = (asked.end - asked.start) / width
    if count > MAX_INTERVALS:
        raise InvalidInput("every", f"gives {count:.0f} intervals; at most {MAX_INTERVALS}: widen it or ask for less")
