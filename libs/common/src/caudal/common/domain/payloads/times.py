"""When something was measured: every way in which devices write an instant, and how clocks that change are read.

A time without zone is read in the declared zone, or in those that held one after the other (`zones` has how). Without a
declared zone a naive time is refused.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.numbers import number_reader
from caudal.common.domain.payloads.refusals import Refusal, Unreadable, quoted
from caudal.common.domain.payloads.zones import ClockChange, WallClock, Zones

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Before it no device of ours was installed; clocks that lost power say 1970."""
AHEAD = timedelta(minutes=5)
"""How far a clock may run ahead of the inlet's."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TDATETIME_EPOCH = datetime(1899, 12, 30)
_DAY_MS = 86_400_000
_as_number = number_reader()

ReadTime = Callable[[Any], datetime]
"""A value of the payload → UTC. Raises `Unreadable`."""


def time_reader(form: str, zone: str | Zones | None, clock_change: ClockChange) -> ReadTime:
    """How times of this form are read.

    Args:
        form: `auto`, a name of `FORMS`, or a strptime pattern (it holds a `%`).
        zone: Of times without one; None refuses them.
        clock_change: What becomes of local times that exist twice or not at all.

    Raises:
        InvalidInput: there is no such form, or no such zone.
    """
    zones = Zones((zone,)) if isinstance(zone, str) and zone else zone
    naive = WallClock(zones, clock_change).utc_of if zones else _refused
    parse = partial(_from_pattern, pattern=checked_pattern(form)) if "%" in form else FORMS.get(form)
    if parse is None:
        raise InvalidInput("format", f"{form[:60]!r} is none of {', '.join(FORMS)} and no strptime pattern")

    def read(raw: Any) -> datetime:
        try:
            found = raw if isinstance(raw, datetime) else parse(raw)
            if found.tzinfo is UTC:
                return found
            return found.astimezone(UTC) if found.tzinfo else naive(found)
        except (ValueError, OverflowError, OSError, TypeError, AttributeError) as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(Refusal.TIME, "", f"{quoted(raw)} is no time ({form})") from error

    return read


def checked_pattern(pattern: str) -> str:
    """`pattern`, if strptime reads what strftime writes with it.

    Raises:
        InvalidInput: it holds a directive that strptime does not know, or one twice.
    """
    try:
        datetime.strptime(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(pattern), pattern)
    except (ValueError, TypeError, OverflowError, re.error) as error:
        raise InvalidInput("format", f"{pattern[:60]!r} is no strptime pattern: {error}") from error
    return pattern


def _from_text(raw: Any) -> datetime:
    try:
        return datetime.fromisoformat(raw)
    except ValueError:
        return datetime.fromisoformat(raw.strip().upper())


def _from_pattern(raw: Any, pattern: str) -> datetime:
    return datetime.strptime(str(raw).strip(), pattern)


def _number(raw: Any) -> int | float:
    parsed = _as_number(raw)
    if parsed is None or isinstance(parsed, str):
        raise ValueError(parsed or "is empty")
    return parsed


def _since_epoch(raw: Any, per_second: int) -> datetime:
    count = _number(raw)
    if isinstance(count, int):
        return _EPOCH + timedelta(microseconds=count * 1_000_000 // per_second)
    return _EPOCH + timedelta(microseconds=round(count * (1_000_000 / per_second)))


def _since_epoch_by_size(raw: Any) -> datetime:
    """Seconds, ms, µs or ns: between 1973 and 5138 their sizes do not overlap."""
    count = _number(raw)
    size = abs(count)
    per_second = 1 if size < 1e11 else 1_000 if size < 1e14 else 1_000_000 if size < 1e17 else 1_000_000_000
    return _since_epoch(count, per_second)


def _from_tdatetime(raw: Any) -> datetime:
    """Days since 1899-12-30, local; a double holds them to about a microsecond, so milliseconds are exact."""
    return _TDATETIME_EPOCH + timedelta(milliseconds=round(_number(raw) * _DAY_MS))


def _tdatetime_or_epoch(raw: Any) -> datetime:
    """NOVUS writes either: days since 1899 stay below 100 000 until 2173, seconds since 1970 passed it in a day."""
    count = _number(raw)
    return _from_tdatetime(count) if count < 100_000 else _since_epoch_by_size(count)


def _auto(raw: Any) -> datetime:
    """Digits alone are a count: `1712123000123` would pass for a day of 1712 otherwise."""
    if type(raw) is str and (raw[4:5] == "-" or not isinstance(_as_number(raw), int | float)):
        return _from_text(raw)
    return _since_epoch_by_size(raw)


FORMS: dict[str, Callable[[Any], datetime]] = {
    "auto": _auto,
    "rfc3339": _from_text,
    "epoch": _since_epoch_by_size,
    "epoch_s": partial(_since_epoch, per_second=1),
    "epoch_ms": partial(_since_epoch, per_second=1_000),
    "tdatetime": _from_tdatetime,
    "tdatetime_or_epoch": _tdatetime_or_epoch,
}
"""Names of forms; each gives an aware or a naive time. `auto`: RFC 3339, or a count since 1970 judged by its size."""


def _refused(local: datetime) -> datetime:
    raise Unreadable(Refusal.TIME, "", f"{local.isoformat()} has no zone, and none is declared for it")


def checked_instant(at: datetime, latest: datetime) -> datetime:
    """`at`, if a reading can have been made then.

    Raises:
        Unreadable: it is before 2000, or after `latest`.
    """
    if at > latest:
        raise Unreadable(Refusal.TIME, "", f"{at.isoformat()} is more than 5 minutes ahead")
    if at < EARLIEST:
        raise Unreadable(Refusal.TIME, "", f"{at.isoformat()} is before 2000: the device's clock was not set")
    return at
