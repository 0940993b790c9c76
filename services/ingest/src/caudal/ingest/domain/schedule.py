"""Which points are due to be asked, and from which instant on. Pure: the same record and instant, the same answer."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_BACK_OFF = timedelta(minutes=2)
"""How soon a point that failed is asked again; it doubles with each further failure in a row."""
LONGEST_BACK_OFF = timedelta(hours=2)
LOOKS_BACK_EVERY = timedelta(days=1)
"""How often a point is asked for what came late at its provider, each at an hour of its own."""
OLDER = timedelta(days=1)
"""How much of a history that somebody wanted later is fetched in one piece."""

Stretch = tuple[datetime, dict[str, str]]
"""From when on, and variable code to what the provider calls it."""


class Reach(NamedTuple):
    """How far back is asked."""

    first: timedelta = timedelta(days=1)
    """The first time."""
    overlap: timedelta = timedelta(hours=1)
    """Before the cursor, each time: rows may appear late at the provider."""
    look_back: timedelta = timedelta()
    """Before now, once a day: a device that was cut off hands in its backlog after its newest value. 0: never."""


class Complete(NamedTuple):
    """The stretch of time, by variable, of which everything was handed on."""

    since: Mapping[str, datetime]
    until: Mapping[str, datetime]
    """The cursors."""


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
    looked_back_at: datetime | None = None
    """When it was last asked for what came late."""
    moved_at: datetime | None = None
    """Since when its provider is another one, as far as is known; None: it has always been this."""


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


def looks_back_from(point: str, state: PointState, now: datetime, reach: Reach) -> datetime | None:
    """From when on a point is to be asked this time for what came late at its provider; None: it is not its turn.

    What another provider gave is left as it is: this one may have rounded it.
    """
    last = state.looked_back_at
    is_soon = last is not None and last <= now < next_slot(point, LOOKS_BACK_EVERY, last)
    if not reach.look_back or is_soon:
        return None
    return max(now - reach.look_back, state.moved_at or EPOCH)


def stretches(
    variables: Mapping[str, str],
    cursors: Mapping[str, datetime],
    now: datetime,
    reach: Reach,
    *,
    back_to: datetime | None = None,
    wanted_from: datetime | None = None,
) -> list[Stretch]:
    """From which instants on a point's variables are to be asked for, earliest first.

    Variables whose cursors lie within the overlap of one another are asked for together. One that has been silent for
    months is asked for by itself, so that the others are not fetched for all that time again and again.

    Args:
        variables: Variable code to what the provider calls it.
        cursors: Variable code to the instant until which it is complete.
        now: Cursors beyond it are taken back to it.
        reach: How far before their cursors they are asked for, and those that have none.
        back_to: From when on what came late is asked for, too.
        wanted_from: Nothing that was measured before is asked for.
    """
    least = back_to or now
    starts = {
        code: min(cursors[code] - reach.overlap, now - reach.overlap, least) if code in cursors else now - reach.first
        for code in variables
    }
    if wanted_from is not None:
        starts = {code: max(start, wanted_from) for code, start in starts.items()}
    groups: list[Stretch] = []
    for code in sorted(starts, key=lambda each: (starts[each], each)):
        if not groups or starts[code] - groups[-1][0] > reach.overlap:
            groups.append((starts[code], {}))
        groups[-1][1][code] = variables[code]
    return groups


def older(
    variables: Mapping[str, str], since: Mapping[str, datetime], wanted_from: datetime | None
) -> tuple[datetime, datetime, dict[str, str]] | None:
    """The next piece of history before what is there already: start, end and variables; None: all that is wanted is.

    The newest missing piece comes first, and variables that lack more than others wait for them to catch up.

    Args:
        variables: Variable code to what the provider calls it.
        since: Variable code to the instant from which on it is there.
        wanted_from: Where the history that somebody wants begins.
    """
    if wanted_from is None:
        return None
    lacking = {code: since[code] for code in variables if code in since and since[code] > wanted_from}
    if not lacking:
        return None
    end = max(lacking.values())
    start = max(wanted_from, end - OLDER, *(at for at in lacking.values() if at < end))
    return start, end, {code: variables[code] for code, at in lacking.items() if at == end}


def _share(point: str) -> float:
    """A number of the point's own from 0 to 1, the same for ever."""
    return int.from_bytes(blake2b(point.encode(), digest_size=4).digest(), "big") / 2**32
