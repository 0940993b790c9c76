"""Arithmetic of stored series, on which every telemetry store must agree.

Times are whole microseconds since the epoch (UTC), so that intervals and orders are exact.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from caudal.common.domain.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_INSTANT = datetime(1678, 1, 1, tzinfo=UTC)
"""The first that InfluxDB can hold, rounded up to a year."""
END_OF_TIME = datetime(2262, 1, 1, tzinfo=UTC)
"""The first that it cannot hold any more, rounded down to a year."""
ARCHIVE_MARGIN = timedelta(hours=1)
"""How long before its retention ends a row goes to the archive: clocks differ, and a write takes its time."""

MAX_INTERVAL = timedelta(days=36_525)

_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


def micros(at: datetime) -> int:
    """`at` as microseconds since the epoch, exactly."""
    since = at - EPOCH
    return since.days * _DAY_US + since.seconds * 1_000_000 + since.microseconds


def instant(us: int) -> datetime:
    """The inverse of `micros`."""
    return EPOCH + _MICROSECOND * us


def checked_instant(at: datetime, name: str) -> int:
    """`at` in microseconds, brought into the time that stores know.

    Raises:
        InvalidInput: it has no zone; the error names `name`.
    """
    if at.tzinfo is None:
        raise InvalidInput(name, "needs a time zone")
    return micros(min(max(at, FIRST_INSTANT), END_OF_TIME))


def checked_interval(every: timedelta) -> int:
    """`every` in microseconds.

    Raises:
        InvalidInput: it is not above 0, or longer than `MAX_INTERVAL`.
    """
    if not _MICROSECOND <= every <= MAX_INTERVAL:
        raise InvalidInput("every", f"must be above 0 and at most {MAX_INTERVAL.days} days, is {every}")
    return every // _MICROSECOND


def archived_before(now: datetime, retention: timedelta) -> datetime:
    """Rows before this instant are written to the archive."""
    return now - retention + ARCHIVE_MARGIN


def slot(us: int, every: int) -> int:
    """Start of the interval of `every`, aligned to the epoch, that holds `us`; before 1970 too."""
    return us - us % every


@dataclass(frozen=True, slots=True)
class Track:
    """Values over time as one place holds them."""

    times: list[int]
    """Ascending, each once."""
    columns: dict[str, list[float | None]]
    """By variable, as long as `times`."""
    provider: str = ""
    whole: bool = True
    """False: cut off; there may be more after the last of `times`."""


def overlaid(tracks: Sequence[Track], variables: Sequence[str], limit: int) -> Track:
    """The first `limit` instants of all tracks as one, each once; a later track's values go over an earlier one's.

    No track may have been cut off before its `limit`th instant: then nothing that was cut off could be among the first.
    """
    held = [track for track in tracks if track.times]
    whole = all(track.whole for track in held)
    if _fit(held):
        times = held[0].times
        columns = {name: column[:limit] for track in held for name, column in track.columns.items()}
        nothing: list[float | None] = [None] * len(times[:limit])
        columns = {variable: columns.get(variable, nothing) for variable in variables}
    else:
        merged = {variable: _values_of(held, variable) for variable in variables}
        times = sorted(set().union(*merged.values()))
        columns = {variable: [values.get(time) for time in times[:limit]] for variable, values in merged.items()}
    return Track(times[:limit], columns, whole=whole and len(times) <= limit)


def _fit(tracks: Sequence[Track]) -> bool:
    """Whether tracks can be put side by side as they are: same times, no variable twice. This is the usual case."""
    variables = [variable for track in tracks for variable in track.columns]
    return len(set(variables)) == len(variables) > 0 and all(track.times == tracks[0].times for track in tracks)


def _values_of(tracks: Iterable[Track], variable: str) -> dict[int, float]:
    values: dict[int, float] = {}
    for track in tracks:
        column = track.columns.get(variable, [])
        values.update((time, value) for time, value in zip(track.times, column, strict=False) if value is not None)
    return values


def contested(tracks: Sequence[Track]) -> set[int]:
    """The times at which more than one track has a value for one variable."""
    held = [track for track in tracks if track.times]
    named = Counter(variable for track in held for variable in track.columns)
    twice: set[int] = set()
    for variable in (variable for variable, often in named.items() if often > 1):
        seen: set[int] = set()
        for track in held:
            times = _values_of([track], variable).keys()
            twice |= seen & times
            seen |= times
    return twice


def runs(slots: Iterable[int], every: int) -> list[tuple[int, int]]:
    """Intervals that touch, joined: (start, end) pairs, ascending."""
    joined: list[tuple[int, int]] = []
    for start in sorted(slots):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], start + every)
        else:
            joined.append((start, start + every))
    return joined


@dataclass(slots=True)
class Tally:
    """What is known of the values of one interval, given in order of time."""

    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    last: float = math.nan

    def add(self, value: float) -> None:
        """Take one more value in."""
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        self.last = value

    @property
    def mean(self) -> float:
        """Needs at least one value."""
        return self.total / self.count


def increases(lasts: Sequence[float | None], before: float) -> list[float | None]:
    """Growth in each interval: its last value less the last one before it, which is `before` for the first.

    None stays None, and the next value is compared with the one before the gap.
    """
    grown: list[float | None] = []
    for last in lasts:
        grown.append(None if last is None else last - before)
        before = before if last is None else last
    return grown
