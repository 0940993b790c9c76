"""In which zone a clock was that tells none, and which instant it means.

A point's zone changes like the rest of its configuration: each holds from an instant on, until the next. A local time
is read by the zone that held at the instant that it is in that zone. Where the clock was put back at such a change, a
local time may be in both; where it was put forward, in neither. The later zone counts then: a device that was put right
goes on without a break, and so does one that was right all the time and had been entered wrongly.

On the two days a year on which a zone's own clock changes, one local hour does not exist and one exists twice; what
happens to such times is said by `clock_change`: they are refused, or read with the offset that held `before` or `after`
the change.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from caudal.common.domain.catalog import Point, checked_zone
from caudal.common.domain.payloads.refusals import Refusal, Unreadable

ClockChange = Literal["reject", "before", "after"]

A_DAY = timedelta(days=1)
"""No zone is as far from UTC."""


@dataclass(frozen=True, slots=True)
class Zones:
    """The zones of a clock, one after the other."""

    names: tuple[str, ...]
    """Of the IANA database; one more than there are changes."""
    changes: tuple[datetime, ...] = ()
    """The instants from which on the next one holds, in order."""


def zones_of(point: Point) -> Zones:
    """The zones of a point's clock, now and in earlier times."""
    names, changes = list[str](), list[datetime]()
    for version in point.earlier:
        name = version.time_zone or point.time_zone
        if names and names[-1] == name:
            changes[-1] = version.valid_until
        else:
            names.append(name)
            changes.append(version.valid_until)
    if names and names[-1] == point.time_zone:
        return Zones(tuple(names), tuple(changes[:-1]))
    return Zones((*names, point.time_zone), tuple(changes))


class WallClock:
    """Reads local times.

    Args:
        zones: Where the clock was, and when.
        clock_change: What becomes of local times that exist twice or not at all.

    Raises:
        InvalidInput: a zone is none.
    """

    def __init__(self, zones: Zones, clock_change: ClockChange) -> None:
        self._places = [ZoneInfo(checked_zone(name, "zone")) for name in zones.names]
        self._changes = zones.changes
        self._clock_change = clock_change

    def utc_of(self, local: datetime) -> datetime:
        """The instant at which the clock showed `local`.

        Raises:
            Unreadable: there is none, or there are two, and nobody says which counts.
        """
        place = self._place_of(local) if self._changes else self._places[0]
        before, after = local.replace(tzinfo=place, fold=0), local.replace(tzinfo=place, fold=1)
        if self._clock_change == "reject" and before.utcoffset() != after.utcoffset():
            twice = before.astimezone(UTC) < after.astimezone(UTC)
            raise Unreadable(
                Refusal.TIME,
                "",
                f"{local.isoformat()} {'exists twice' if twice else 'does not exist'} in {place}: clocks change there; "
                "say clock_change before or after",
            )
        return (after if self._clock_change == "after" else before).astimezone(UTC)

    def _place_of(self, local: datetime) -> ZoneInfo:
        """The zone that held when the clock showed `local`; the later one if two did, or none."""
        about = local.replace(tzinfo=UTC)
        first, last = (bisect_right(self._changes, limit) for limit in (about - A_DAY, about + A_DAY))
        places, changes = self._places[first : last + 1], self._changes[first:last]
        fold = int(self._clock_change == "after")
        instants = [local.replace(tzinfo=place, fold=fold).astimezone(UTC) for place in places]
        begun = [True, *(at >= change for at, change in zip(instants[1:], changes, strict=True))]
        ended = [*(at >= change for at, change in zip(instants, changes, strict=False)), False]
        for place, has_begun, has_ended in zip(reversed(places), reversed(begun), reversed(ended), strict=True):
            if has_begun and not has_ended:
                return place
        return places[max(number for number, has_ended in enumerate(ended) if has_ended) + 1]
