"""Importing from an older system: planned as a whole, then carried out by the handlers that serve the API."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import Permanent
from caudal.common.domain.ids import is_id
from caudal.common.domain.import_maps import ImportMap
from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.domain.import_owners import OwnerPlanner
from caudal.gateway_api.domain.import_points import PointPlanner
from caudal.gateway_api.domain.import_rows import Given, Table, columns_of, given_rows
from caudal.gateway_api.domain.imported_points import point_with
from caudal.gateway_api.domain.imports import Outcome, Report, Step, report_of, units
from caudal.gateway_api.domain.permissions import Caller, Permission
from caudal.gateway_api.domain.records import OWNERS
from caudal.gateway_api.domain.tenancy import Owner
from caudal.gateway_api.handlers.catalog import CatalogDesk, change_point, create_point
from caudal.gateway_api.handlers.outbox import QuietRelay
from caudal.gateway_api.handlers.records import RecordsDesk, change, create
from caudal.gateway_api.handlers.tenancy import owner_rule
from caudal.gateway_api.ports.imports import Grounds, Sheets, Subjects, Together

AT_ONCE = 200
"""Changes of one transaction: other writers wait no longer than for these."""
NEEDS = {
    ImportKind.POINTS: Permission.POINTS_WRITE,
    ImportKind.VARIABLES: Permission.POINTS_WRITE,
    ImportKind.OWNERS: Permission.USERS_WRITE,
    ImportKind.HISTORY: Permission.WINDOWS_RUN,
}
"""What somebody has to be allowed besides importing: a file opens no door that is closed otherwise.

History of a client's own points, which is all that somebody of a client can import, is telemetry and no window.
"""

Progress = Callable[[int, int], None]
"""Hears how many changes are done, and of how many."""


@dataclass(frozen=True, slots=True)
class ImportDesk:
    """The ports that importing needs."""

    sheets: Sheets
    grounds: Grounds
    together: Together
    catalog: CatalogDesk
    records: RecordsDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What is to be imported, and how."""

    kind: ImportKind
    map: ImportMap = field(default_factory=ImportMap)
    dry_run: bool = False
    """Only plan it."""
    all_or_nothing: bool = False
    """Carry it out as one transaction, and only if no row is refused."""
    shown: int | None = None
    """How many rows the report tells of; None: all."""


def check_may(caller: Caller, kind: ImportKind) -> None:
    """Nothing, if the caller may do by hand what the file would do.

    Raises:
        Forbidden: the caller may not.
    """
    needed = NEEDS[kind]
    if kind is ImportKind.HISTORY and caller.client is not None:
        needed = Permission.TELEMETRY_WRITE
    if not caller.may(needed):
        raise Forbidden(f"your role ({caller.role}) may not import {kind}: it needs {needed}")


async def import_file(
    desk: ImportDesk, caller: Caller, path: Path, how: How, progress: Progress = lambda _done, _of: None
) -> Report:
    """Bring what a file says into the catalog; the second time nothing is left to do.

    Raises:
        Forbidden: the caller may not.
        InvalidInput: the file or the mapping cannot be used. A row that cannot be used is in the report.
        Transient: the database is away; what the report would have told is not known, and importing again is safe.
    """
    check_may(caller, how.kind)
    sheet = await desk.sheets.read(path, how.map)
    columns = columns_of(how.kind, sheet.headers, how.map)
    rows = await asyncio.to_thread(lambda: [*given_rows(how.kind, sheet, how.map, columns)])
    steps = await _planned(desk, caller, how.kind, rows)
    held_back = how.all_or_nothing and any(step.outcome is Outcome.REFUSED for step in steps)
    done = not how.dry_run and not held_back
    if done:
        work = [*units(steps)]
        carried = _all_at_once if how.all_or_nothing else _in_parts
        failed = await carried(desk, caller, work, progress)
        steps = [failed.get(step.row, step) for step in steps]
        done = not (how.all_or_nothing and failed)
    table = Table(sheet, columns, how.map)
    return report_of(how.kind, steps, table, dry_run=how.dry_run, done=done, shown=how.shown)


async def _planned(desk: ImportDesk, caller: Caller, kind: ImportKind, rows: Sequence[Given]) -> list[Step]:
    about = "code" if kind is ImportKind.POINTS else "point"
    # What is no id names nothing, and there are characters that a database does not even compare.
    codes, devices = ([row.fields[name] for row in rows if is_id(row.fields.get(name))] for name in (about, "device"))
    users = [row.fields["user"] for row in rows if str(row.fields.get("user", "\0")).isprintable()]
    subjects = Subjects(points=codes, devices=devices, users=users)
    ground = await desk.grounds.around(caller.scope, subjects)
    planner = (
        OwnerPlanner(ground, desk.records.clock.now())
        if kind is ImportKind.OWNERS
        else PointPlanner(ground, caller.scope, of_variables=kind is ImportKind.VARIABLES)
    )
    # It may take seconds, in which others are to be answered.
    return await asyncio.to_thread(planner.plan, rows)


async def _in_parts(
    desk: ImportDesk, caller: Caller, work: Sequence[Sequence[Step]], progress: Progress
) -> dict[int, Step]:
    """Carry it out some at a time; the rows that could not be, though they were planned."""
    failed: dict[int, Step] = {}
    remaining, done = iter(work), 0
    while some := [*islice(remaining, AT_ONCE)]:
        try:
            await _carry_out(desk, caller, some)
        except Permanent:
            # Somebody else was faster with one of them: the others need not suffer.
            for unit in some:
                failed |= await _alone(desk, caller, unit)
        done += len(some)
        progress(done, len(work))
        await desk.catalog.relay.deliver_soon()
    return failed


async def _alone(desk: ImportDesk, caller: Caller, unit: Sequence[Step]) -> dict[int, Step]:
    try:
        await _carry_out(desk, caller, [unit])
    except Permanent as error:
        return {step.row: step.refused(error) for step in unit}
    return {}


async def _all_at_once(
    desk: ImportDesk, caller: Caller, work: Sequence[Sequence[Step]], progress: Progress
) -> dict[int, Step]:
    """Carry out all of it, or nothing: then every row is told with the reason."""
    try:
        await _carry_out(desk, caller, work)
    except Permanent as error:
        return {step.row: step.refused(error) for unit in work for step in unit}
    progress(len(work), len(work))
    await desk.catalog.relay.deliver_soon()
    return {}


async def _carry_out(desk: ImportDesk, caller: Caller, work: Sequence[Sequence[Step]]) -> None:
    """Do all of it in one transaction.

    Raises:
        Permanent: a part of it cannot be done; nothing was.
    """
    if any(step.owner is not None for unit in work for step in unit):
        async with desk.together.records(caller.scope) as records:
            held = replace(desk.records, records=records)
            for unit in work:
                for step in unit:
                    await _put_owner(held, caller, step)
        return
    async with desk.together.catalog(caller.scope) as store:
        # What is told would wait for this very transaction to end.
        within = replace(desk.catalog, store=store, relay=QuietRelay())
        for unit in work:
            await _put_point(within, caller, unit)


async def _put_point(desk: CatalogDesk, caller: Caller, unit: Sequence[Step]) -> None:
    if unit[0].is_new_point:
        await create_point(desk, caller, point_with(None, unit[0].said))
        return

    def said_of(point: Point) -> Point:
        for step in unit:
            point = point_with(point, step.said)
        return point

    await change_point(desk, caller, unit[0].of, said_of)


async def _put_owner(desk: RecordsDesk, caller: Caller, step: Step) -> None:
    owner = step.owner
    if owner is None:
        return
    if step.outcome is Outcome.CREATE:
        await create(desk, caller, OWNERS, owner, owner_rule)
        return

    def agreed(present: Owner) -> Owner:
        return replace(present, permissions=owner.permissions, updated_at=owner.updated_at)

    await change(desk, caller, OWNERS, owner.id, agreed, owner_rule)
