"""Which points are due to be asked, and from which instant on. Pure: the same record and instant, the same answer."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_BACK_OFF = timedelta(minutes=2)
"""How soon a point that failed is asked again; it doubles with each further failure in a row."""
LONGEST_BACK_OFF = timedelta(hours=2)


class PointState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of asking for one point."""

    point: str
    provider: str
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    """When its provider last answered, with or without values."""
    measured_until: datetime | None = None
    """The newest instant of which a value was handed on."""
    failures: int = 0
    """In a row."""
    error: str | None = None
    """Why it failed last; it stays until the next answer."""
    error_at: datetime | None = None
    is_behind: bool = False
    """Whether there was more to fetch than one round does."""


def is_due(point: str, sampling: timedelta, state: PointState | None, now: datetime) -> bool:
    """Whether a point that is measured every `sampling` is to be asked at `now`."""
    if state is None or state.asked_at is None or state.asked_at > now:
        # An instant that is still to come is a clock that went wrong: better once too often than never.
        return True
    if state.failures:
        return now >= state.asked_at + back_off(point, state.failures)
    return state.is_behind or now >= next_slot(point, sampling, state.asked_at)


def next_slot(point: str, sampling: timedelta, after: datetime) -> datetime:
    """The first instant after `after` at which the point's turn comes: every `sampling`, each point at its own offset.

    Without an offset of its own all that are measured every hour would be asked in the same minute.
    """
    offset = sampling * _share(point)
    passed = (after - EPOCH - offset) // sampling
    return EPOCH + offset + (passed + 1) * sampling


def back_off(point: str, failures: int) -> timedelta:
    """How long a point is left alone after so many failures in a row; up to a quarter less, differently for each."""
    longest = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures - 1, 20))
    return longest * (1 - _share(point) / 4)


def stretches(
    variables: Mapping[str, str], cursors: Mapping[str, datetime], now: datetime, first: timedelta, overlap: timedelta
) -> list[tuple[datetime, dict[str, str]]]:
    """From which instants on a point's variables are to be asked for, earliest first.

    Variables whose cursors lie within `overlap` of one another are asked for together. One that has been silent for
    months is asked for by itself, so that the others are not fetched for all that time again and again.

    Args:
        variables: Variable code to what the provider calls it.
        cursors: Variable code to the instant until which it is complete.
        now: Cursors beyond it are taken back to it.
        first: How far back a variable is asked for that has no cursor.
        overlap: How far before its cursor a variable is asked for: rows may appear late at the provider.
    """
    starts = {code: min(cursors[code], now) - overlap if code in cursors else now - first for code in variables}
    groups: list[tuple[datetime, dict[str, str]]] = []
    for code in sorted(starts, key=lambda each: (starts[each], each)):
        if not groups or starts[code] - groups[-1][0] > overlap:
            groups.append((starts[code], {}))
        groups[-1][1][code] = variables[code]
    return groups


def _share(point: str) -> float:
    """A number of the point's own from 0 to 1, the same for ever."""
    return int.from_bytes(blake2b(point.encode(), digest_size=4).digest(), "big") / 2**32
