"""When an hour, a day or a month begins on the clock of a zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from caudal.common.domain.schemas import RecordPeriod

_HOUR = timedelta(hours=1)
_NONE = timedelta(0)

LONGEST_DAY = timedelta(hours=27)
"""More than any day has, whatever is done to its clock."""
LONGEST_MONTH = timedelta(days=32)


def slot_of(at: datetime, period: RecordPeriod, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, with which the hour, day or month begins that `at` is in.

    Every instant is in exactly one. A day has 23 or 25 hours when the clock is put forward or back; where it is put
    forward at midnight, the day begins at one.
    """
    local = at.astimezone(zone)
    if period is RecordPeriod.HOUR:
        # Of the standard time: where summer time is half an hour, hours would overlap.
        beyond = ((local.utcoffset() or _NONE) - (local.dst() or _NONE)) % _HOUR
        since = timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond)
        return (at - (since + beyond) % _HOUR).astimezone(UTC)
    day = 1 if period is RecordPeriod.MONTH else local.day
    return datetime(local.year, local.month, day, tzinfo=zone).astimezone(UTC)
