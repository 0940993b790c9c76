"""How a point's configuration changes over time: versions one after the other, and what a change means for the past."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from caudal.common.domain.catalog import Point, Rules, Variable, Version
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.gateway_api.domain.errors import Conflict

MAX_VERSIONS = 100
"""Of one point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointVersion:
    """How a point's readings are read and judged for some time."""

    valid_from: datetime | None
    """None: since ever."""
    valid_until: datetime | None
    """None: until it is changed."""
    sampling_minutes: float
    time_zone: str
    rules: Rules
    variables: tuple[Variable, ...]

    @property
    def codes(self) -> str:
        """Those of its variables, to be searched."""
        return " ".join(variable.code for variable in self.variables)


@dataclass(frozen=True, slots=True)
class Past:
    """The part of the past that would come out differently."""

    start: datetime | None
    """None: from the first reading on."""
    end: datetime | None
    """None: to the last."""


def versions_of(point: Point) -> list[PointVersion]:
    """All versions of a point, oldest first; the last one is valid now."""
    return [
        PointVersion(
            valid_from=start,
            valid_until=end,
            sampling_minutes=each.sampling_minutes,
            time_zone=each.time_zone,
            rules=each.rules,
            variables=each.variables,
        )
        for start, end, each in _periods(point)
    ]


def version_valid_at(point: Point, at: datetime | None) -> PointVersion:
    """The version by which readings measured at `at` (None: the first ones) are judged."""
    ends = [version.valid_until for version in point.earlier]
    return versions_of(point)[bisect_right(ends, at) if at is not None else 0]


def changed_from(point: Point, start: datetime | None, change: Callable[[Point], Point]) -> Point:
    """`point` with `change` made to all that is valid from `start` (None: ever) on.

    Raises:
        Conflict: it would have too many versions.
    """
    periods: list[tuple[datetime | None, Point]] = []
    for begins, ends, each in _periods(point):
        if start is not None and ends is not None and ends <= start:
            periods.append((begins, each))
        elif start is not None and (begins is None or begins < start):
            periods += [(begins, each), (start, change(each))]
        else:
            periods.append((begins, change(each)))
    return _joined(periods)


def changed_version(point: Point, start: datetime | None, moved_to: datetime | None, change: "Change") -> Point:
    """`point` with `change` made to the version valid from `start` on, and to that one alone, from `moved_to` on.

    Raises:
        NotFound: no version begins then.
        InvalidInput: it would begin before the one before it, or after its own end.
    """
    _check_begins(point, start)
    periods = list(_periods(point))
    place = [begins for begins, _, _ in periods].index(start)
    _, ends, changing = periods[place]
    if moved_to != start:
        _check_fits(periods[place - 1][0] if place else None, moved_to, ends, place)
    told = [(begins, each) for begins, _, each in periods]
    told[place] = (moved_to, change(changing))
    return _joined(told)


def without_version(point: Point, start: datetime | None) -> Point:
    """`point` without the version valid from `start` on: the one before takes its time, or the next where none was.

    Raises:
        NotFound: no version begins then.
        Conflict: it is the only one.
    """
    _check_begins(point, start)
    told = [(begins, each) for begins, _, each in _periods(point) if begins != start]
    if not told:
        raise Conflict("this is the only version: a point has one at least")
    return _joined([(None, told[0][1]), *told[1:]])


def past_that_differs(before: Point, after: Point) -> Past | None:
    """The readings that the change from `before` to `after` is about; None: none."""
    changes = sorted({version.valid_until for point in (before, after) for version in point.earlier})
    ends: Sequence[datetime | None] = [*changes, None]
    starts: Sequence[datetime | None] = [None, *changes]
    differing = [
        (start, end)
        for start, end in zip(starts, ends, strict=True)
        if _judges_by(_as_at(before, start)) != _judges_by(_as_at(after, start))
    ]
    return Past(differing[0][0], differing[-1][1]) if differing else None


Change = Callable[[Point], Point]


def _periods(point: Point) -> Iterator[tuple[datetime | None, datetime | None, Point]]:
    """(from, until, the point as it is then), oldest first."""
    begins: datetime | None = None
    for version in point.earlier:
        ends = version.valid_until.astimezone(UTC)
        yield begins, ends, point.as_of(version)
        begins = ends
    yield begins, None, replace(point, earlier=())


def _joined(periods: Sequence[tuple[datetime | None, Point]]) -> Point:
    """The point that is as told from each of these instants on; what does not differ from what follows is one."""
    *former, (_, present) = periods
    earlier: list[Version] = []
    following = present
    for place in range(len(former) - 1, -1, -1):
        each, until = former[place][1], periods[place + 1][0]
        assert until is not None, "only the first version has no beginning"
        if _differ(each, following):
            earlier.append(_version(each, until))
            following = each
    if len(earlier) >= MAX_VERSIONS:
        raise Conflict(f"a point has at most {MAX_VERSIONS} versions: remove old ones", "valid_from")
    return replace(present, earlier=tuple(reversed(earlier)))


def _version(point: Point, until: datetime) -> Version:
    return Version(
        valid_until=until,
        sampling_minutes=point.sampling_minutes,
        time_zone=point.time_zone,
        rules=point.rules,
        variables=point.variables,
    )


def _as_at(point: Point, at: datetime | None) -> Point:
    """The point as it is valid from `at` (None: ever) on."""
    ends = [version.valid_until for version in point.earlier]
    place = bisect_right(ends, at) if at is not None else 0
    return point.as_of(point.earlier[place]) if place < len(ends) else point


def _judges_by(point: Point) -> tuple[float, Rules, tuple[Variable, ...]]:
    """What of a point the readings are judged by: not what things are called."""
    variables = tuple(replace(variable, name="", unit="") for variable in point.variables)
    return (point.sampling_minutes, point.rules, variables)


def _differ(one: Point, other: Point) -> bool:
    """Whether they need versions of their own. By its zone a reading is read, once: no past comes out differently."""
    return one.time_zone != other.time_zone or _judges_by(one) != _judges_by(other)


def _check_begins(point: Point, start: datetime | None) -> None:
    if start not in [begins for begins, _, _ in _periods(point)]:
        raise NotFound("version", f"{point.code}/{start.isoformat() if start else 'beginning'}")


def _check_fits(after: datetime | None, start: datetime | None, before: datetime | None, place: int) -> None:
    if place == 0 or start is None:
        raise InvalidInput("valid_from", "the first version, and no other, is valid from the beginning")
    if (after is not None and start <= after) or (before is not None and start >= before):
        raise InvalidInput("valid_from", "must lie between the beginning of the version before and its own end")
