"""Variables of points."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.common.domain.catalog import Variable
from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import VARIABLES
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.versions import Kept
from caudal.gateway_api.entrypoints.access import PointEditor, PointFinder, PointReader
from caudal.gateway_api.entrypoints.answers import answer, room, shown
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.folding import Folding, SinceQuery
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.schemas.catalog import NewVariable, PointVariable, ShownVariable, VariablePatch
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.entrypoints.schemas.configuration import Changed as ChangedBody
from caudal.gateway_api.entrypoints.schemas.configuration import ChangedVariable, Refolding, VariableAnswer
from caudal.gateway_api.handlers.catalog import Changed, Since
from caudal.gateway_api.handlers.configuration import change_variable, create_variable, delete_variable
from caudal.gateway_api.handlers.folds import fold_after

variables = room("variables")


@variables.get("/api/variables/", response_model=Listed[ShownVariable], responses=AS_FILE)
async def list_variables(
    door: TheDoor, caller: PointFinder, asked: Annotated[Asked, Depends(asked_for(VARIABLES))]
) -> Response:
    """List variables of all points that you find, or of one."""

    async def read(listing: Listing) -> Page[PointVariable]:
        found = await door.catalog.store.variables(caller.scope, listing)
        return found.mapped(lambda each: PointVariable.of(*each))

    return await listed(asked, read)


@variables.post("/api/variables/", status_code=201, response_model=VariableAnswer)
async def add_variable(
    door: TheDoor, caller: PointEditor, fold: Folding, create: Creating, body: NewVariable
) -> Response:
    """Add a variable to a point."""

    async def make() -> Response:
        changed = await create_variable(door.catalog, caller, body.point, body.variable(), Since(body.valid_from))
        return await variable_after(door, caller, changed, body.code, fold, 201)

    return await create(make)


@variables.get("/api/variables/{point}/{code}", response_model=ShownVariable)
async def get_variable(door: TheDoor, caller: PointReader, point: Id, code: Id) -> Response:
    """Show a variable of a point."""
    kept = await kept_variable(door, caller, point, code)
    return shown(PointVariable.of(point, kept), version=kept.entry)


@variables.patch("/api/variables/{point}/{code}", response_model=VariableAnswer)
async def patch_variable(
    door: TheDoor,
    caller: PointEditor,
    fold: Folding,
    point: Id,
    code: Id,
    expected: IfMatch,
    body: VariablePatch,
) -> Response:
    """Change what is named from `valid_from` on; the rest stays."""
    changed = await change_variable(door.catalog, caller, point, code, body.applied, expected, body.since)
    return await variable_after(door, caller, changed, code, fold)


@variables.delete("/api/variables/{point}/{code}", response_model=ChangedBody)
async def remove_variable(
    door: TheDoor, caller: PointEditor, fold: Folding, point: Id, code: Id, expected: IfMatch, since: SinceQuery
) -> Response:
    """Delete a variable from `valid_from` on; earlier versions of the point keep it, and its readings stay."""
    changed = await delete_variable(door.catalog, caller, point, code, expected, since)
    return answer(Refolding.after(await fold_after(door.telemetry, caller, changed, fold)))


async def variable_after(
    door: Door, caller: Caller, changed: Changed, code: str, fold: bool, status: int = 200
) -> Response:
    """A variable after a change of its point."""
    told = await fold_after(door.telemetry, caller, changed, fold)
    kept = await kept_variable(door, caller, changed.point.code, code)
    return shown(ChangedVariable.after(changed.point.code, kept, told), status, version=kept.entry)


async def kept_variable(door: Door, caller: Caller, point: str, code: str) -> Kept[Variable]:
    """A variable of a point.

    Raises:
        NotFound: there is no such point, or it has no such variable.
    """
    kept = await door.catalog.store.variable(point, code, caller.scope)
    if kept is None:
        raise NotFound("variable", f"{point}/{code}")
    return kept
