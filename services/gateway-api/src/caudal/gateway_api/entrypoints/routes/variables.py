"""Variables of points."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import VARIABLES
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.variable_rules import variable_in
from caudal.gateway_api.entrypoints.access import CatalogEditor, CatalogReader
from caudal.gateway_api.entrypoints.answers import room, shown
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.folding import Folding
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.schemas.catalog import NewVariable, PointVariable, PointVariableBody, VariablePatch
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.entrypoints.schemas.configuration import ChangedVariable, VariableAnswer
from caudal.gateway_api.handlers.catalog import Changed, Since
from caudal.gateway_api.handlers.configuration import change_variable, create_variable, delete_variable
from caudal.gateway_api.handlers.folds import fold_after

variables = room("variables")


@variables.get("/api/variables/", response_model=Listed[PointVariableBody], responses=AS_FILE)
async def list_variables(
    door: TheDoor, caller: CatalogReader, asked: Annotated[Asked, Depends(asked_for(VARIABLES))]
) -> Response:
    """List variables of all points, or of one."""

    async def read(listing: Listing) -> Page[PointVariable]:
        found = await door.catalog.store.variables(caller.scope, listing)
        items = [PointVariable.of(owner, variable) for owner, variable in found.items]
        return Page(items=items, total=found.total, page=found.page, page_size=found.page_size)

    return await listed(asked, read)


@variables.post("/api/variables/", status_code=201, response_model=VariableAnswer)
async def add_variable(
    door: TheDoor, caller: CatalogEditor, fold: Folding, create: Creating, body: NewVariable
) -> Response:
    """Add a variable to a point."""

    async def make() -> Response:
        changed = await create_variable(door.catalog, caller, body.point, body.variable(), Since(body.valid_from))
        return await _after(door, caller, changed, body.code, fold, 201)

    return await create(make)


@variables.get("/api/variables/{point}/{code}", response_model=PointVariableBody)
async def get_variable(door: TheDoor, caller: CatalogReader, point: Id, code: Id) -> Response:
    """Show a variable of a point."""
    owner = await door.catalog.store.point(point, caller.scope)
    if owner is None:
        raise NotFound("variable", f"{point}/{code}")
    variable = variable_in(owner, code)
    return shown(PointVariable.of(point, variable), version=variable)


@variables.patch("/api/variables/{point}/{code}", response_model=VariableAnswer)
async def patch_variable(
    door: TheDoor,
    caller: CatalogEditor,
    fold: Folding,
    point: Id,
    code: Id,
    expected: IfMatch,
    body: VariablePatch,
) -> Response:
    """Change what is named from `valid_from` on; the rest stays."""
    changed = await change_variable(door.catalog, caller, point, code, body.applied, expected, body.since)
    return await _after(door, caller, changed, code, fold)


@variables.delete("/api/variables/{point}/{code}", status_code=204)
async def remove_variable(door: TheDoor, caller: CatalogEditor, point: Id, code: Id, expected: IfMatch) -> Response:
    """Delete a variable from now on; earlier versions of the point keep it, and its readings stay in the ledger."""
    await delete_variable(door.catalog, caller, point, code, expected)
    return Response(status_code=204)


async def _after(door: Door, caller: Caller, changed: Changed, code: str, fold: bool, status: int = 200) -> Response:
    """A variable after a change of its point."""
    variable = variable_in(changed.point, code)
    told = await fold_after(door.telemetry, caller, changed, fold)
    return shown(ChangedVariable.after(changed.point.code, variable, told), status, version=variable)
