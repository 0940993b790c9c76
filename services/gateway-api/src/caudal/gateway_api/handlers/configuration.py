"""Changing what a point's readings are judged by: its variables, its meters, and what was valid in earlier times."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from caudal.common.domain.catalog import MeterSwap, Point, Variable
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.gateway_api.domain.catalog_rules import checked_point
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.timeline import (
    PointVersion,
    changed_from,
    changed_version,
    versions_of,
    without_version,
)
from caudal.gateway_api.domain.variable_rules import (
    checked_swap,
    counts,
    has_swap,
    variable_in,
    with_changed_variable,
    with_swap,
    with_variable,
    without_swap,
    without_variable,
)
from caudal.gateway_api.domain.versions import ANY, Expected
from caudal.gateway_api.handlers.catalog import CatalogDesk, Changed, Since, begin_of, changed, record, tell

EVER = Since(None)


@dataclass(frozen=True, slots=True)
class _Edit:
    """One change of a point's configuration, and how it is written down."""

    action: str
    kind: str
    key: str
    part: Callable[[Point], Variable | PointVersion | None]
    """What of the point is shown as changed."""


# ---------------------------------------------------------------- variables


async def create_variable(
    desk: CatalogDesk, caller: Caller, point: str, variable: Variable, since: Since = EVER
) -> Changed:
    """Add a variable to a point, for all readings measured from `since` on.

    Raises:
        NotFound: there is no such point.
        Conflict: the point has a variable of this code.
        InvalidInput: a field cannot be used.
    """

    start = await begin_of(desk, point, since)

    def change(before: Point) -> Point:
        with_variable(before, variable)
        return changed_from(before, start, _with(variable))

    return await _edit(desk, caller, point, _about_variable("create", variable.code), change)


async def change_variable(
    desk: CatalogDesk,
    caller: Caller,
    point: str,
    code: str,
    change: Callable[[Variable], Variable],
    expected: Expected = ANY,
    since: Since | None = None,
) -> Changed:
    """Put `change(variable)` in the place of a point's variable from `since` on; the code stays.

    Raises:
        NotFound: there is no such point, or it has no such variable.
        Stale: it is not what the caller has seen.
        InvalidInput: a field cannot be used.
    """
    start = await begin_of(desk, point, since)

    def changed_point(before: Point) -> Point:
        expected.check(variable_in(before, code))
        return changed_from(before, start, _where_it_is(code, lambda at: with_changed_variable(at, code, change)))

    return await _edit(desk, caller, point, _about_variable("change", code), changed_point)


async def delete_variable(
    desk: CatalogDesk, caller: Caller, point: str, code: str, expected: Expected = ANY, since: Since | None = None
) -> Changed:
    """Remove a variable from a point from `since` on; its readings stay in the ledger.

    Raises:
        NotFound: there is no such point, or it has no such variable.
    """
    start = await begin_of(desk, point, since)

    def without(before: Point) -> Point:
        expected.check(variable_in(before, code))
        return changed_from(before, start, _where_it_is(code, lambda at: without_variable(at, code)))

    return await _edit(desk, caller, point, _about_variable("delete", code), without)


# ---------------------------------------------------------------- meters


async def swap_meter(desk: CatalogDesk, caller: Caller, point: str, code: str, swap: MeterSwap) -> Changed:
    """Write down that the meter of a variable was replaced. It has its own instant, so it is part of every version.

    Raises:
        NotFound: there is no such point, or it has no such variable.
        InvalidInput: the variable counts nothing, or the swap cannot have been then or so.
        Conflict: a swap at that instant is there already.
    """
    declared = checked_swap(swap)
    if declared.at > desk.clock.now():
        raise InvalidInput("at", "must not lie in the future")

    def declare(version: Point) -> Point:
        return with_changed_variable(version, code, lambda variable: with_swap(variable, declared))

    def swapped(before: Point) -> Point:
        with_swap(variable_in(before, code), declared)
        return changed_from(before, None, _where_it_is(code, declare, also=counts))

    return await _edit(desk, caller, point, _about_variable("meter_swap", code), swapped, declared.at)


async def remove_swap(
    desk: CatalogDesk, caller: Caller, point: str, code: str, at: datetime, expected: Expected = ANY
) -> Changed:
    """Take back that the meter of a variable was replaced at `at`.

    Raises:
        NotFound: there is no such point, variable or swap.
        Stale: the variable is not what the caller has seen.
    """

    def forget(version: Point) -> Point:
        return with_changed_variable(version, code, lambda variable: without_swap(variable, at))

    def taken_back(before: Point) -> Point:
        expected.check(variable_in(before, code))
        if not has_swap(variable_in(before, code), at):
            raise NotFound("meter swap", f"{point}/{code}/{at.isoformat()}")
        return changed_from(before, None, _where_it_is(code, forget, also=lambda each: has_swap(each, at)))

    return await _edit(desk, caller, point, _about_variable("meter_swap_removed", code), taken_back, at)


# ---------------------------------------------------------------- versions


async def change_version(
    desk: CatalogDesk,
    caller: Caller,
    point: str,
    start: datetime | None,
    moved_to: Since | None,
    change: Callable[[Point], Point],
    expected: Expected = ANY,
) -> Changed:
    """Correct the version that is valid from `start` on, and no other; `moved_to` is from when on it should be.

    Raises:
        NotFound: there is no such point or version.
        Stale: it is not what the caller has seen.
        InvalidInput: a field cannot be used, or it would begin before the one before it or after its own end.
    """
    begin = await begin_of(desk, point, moved_to) if moved_to is not None else start

    def corrected(before: Point) -> Point:
        expected.check(version_at(before, start))
        return changed_version(before, start, begin, lambda version: checked_point(change(version)))

    edit = _Edit("change", "version", _named(start), lambda of: _version_at(of, start) or _version_at(of, begin))
    return await _edit(desk, caller, point, edit, corrected)


async def delete_version(
    desk: CatalogDesk, caller: Caller, point: str, start: datetime | None, expected: Expected = ANY
) -> Changed:
    """Remove a version: the one before it takes its time, or the next, where it was the first.

    Raises:
        NotFound: there is no such point or version.
        Conflict: it is the only one.
    """

    def without(before: Point) -> Point:
        expected.check(version_at(before, start))
        return without_version(before, start)

    edit = _Edit("delete", "version", _named(start), lambda of: _version_at(of, start))
    return await _edit(desk, caller, point, edit, without)


def version_at(point: Point, start: datetime | None) -> PointVersion:
    """The version of a point that is valid from `start` on.

    Raises:
        NotFound: no version begins then.
    """
    found = _version_at(point, start)
    if found is None:
        raise NotFound("version", f"{point.code}/{_named(start)}")
    return found


def _version_at(point: Point, start: datetime | None) -> PointVersion | None:
    return next((version for version in versions_of(point) if version.valid_from == start), None)


def _named(start: datetime | None) -> str:
    return start.isoformat() if start is not None else "beginning"


# ---------------------------------------------------------------- what every change does


async def _edit(
    desk: CatalogDesk,
    caller: Caller,
    code: str,
    edit: _Edit,
    change: Callable[[Point], Point],
    about: datetime | None = None,
) -> Changed:
    """Change a point for the sake of a part of it, the only one that the journal shows; `about` as in `changed`."""
    async with desk.store.edit(caller.scope) as work:
        before = await work.point(code)
        after = checked_point(change(before))
        await work.put_point(after, desk.clock.now())
        part = (edit.kind, edit.key)
        record(desk, work, caller, edit.action, after, edit.part(before), edit.part(after), part)
        await tell(desk, work, after.device, code)
    await desk.relay.deliver_soon()
    return await changed(desk, before, after, about)


def _about_variable(action: str, code: str) -> _Edit:
    return _Edit(action, "variable", code, lambda of: next((v for v in of.variables if v.code == code), None))


def _with(variable: Variable) -> Callable[[Point], Point]:
    """Adds a variable to those versions that have none of its code."""

    def change(version: Point) -> Point:
        has_one = any(each.code == variable.code for each in version.variables)
        return version if has_one else checked_point(with_variable(version, variable))

    return change


def _where_it_is(
    code: str, change: Callable[[Point], Point], also: Callable[[Variable], bool] = lambda _: True
) -> Callable[[Point], Point]:
    """`change` for those versions that have the variable, and for which `also` holds; others stay as they are."""

    def changed_version(version: Point) -> Point:
        is_there = any(each.code == code and also(each) for each in version.variables)
        return checked_point(change(version)) if is_there else version

    return changed_version
