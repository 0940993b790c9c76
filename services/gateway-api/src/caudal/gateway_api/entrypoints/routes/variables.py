"""Variables of points."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.catalog_rules import variable_in
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import VARIABLES
from caudal.gateway_api.entrypoints.access import CatalogEditor, CatalogReader
from caudal.gateway_api.entrypoints.answers import room, shown
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.schemas.catalog import PointVariable, PointVariableBody, VariablePatch
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.handlers.catalog import change_variable, create_variable, delete_variable

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


@variables.post("/api/variables/", status_code=201, response_model=PointVariableBody)
async def add_variable(door: TheDoor, caller: CatalogEditor, create: Creating, body: PointVariableBody) -> Response:
    """Add a variable to a point."""

    async def make() -> Response:
        added = await create_variable(door.catalog, caller, body.point, body.variable())
        return shown(PointVariable.of(body.point, added), 201, version=added)

    return await create(make)


@variables.get("/api/variables/{point}/{code}", response_model=PointVariableBody)
async def get_variable(door: TheDoor, caller: CatalogReader, point: Id, code: Id) -> Response:
    """Show a variable of a point."""
    owner = await door.catalog.store.point(point, caller.scope)
    if owner is None:
        raise NotFound("variable", f"{point}/{code}")
    variable = variable_in(owner, code)
    return shown(PointVariable.of(point, variable), version=variable)


@variables.patch("/api/variables/{point}/{code}", response_model=PointVariableBody)
async def patch_variable(
    door: TheDoor, caller: CatalogEditor, point: Id, code: Id, expected: IfMatch, body: VariablePatch
) -> Response:
    """Change what is named; the rest stays. `/api/telemetry/process/` applies it to the past."""
    changed = await change_variable(door.catalog, caller, point, code, body.applied, expected)
    return shown(PointVariable.of(point, changed), version=changed)


@variables.delete("/api/variables/{point}/{code}", status_code=204)
async def remove_variable(door: TheDoor, caller: CatalogEditor, point: Id, code: Id, expected: IfMatch) -> Response:
    """Delete a variable; its readings stay in the ledger."""
    await delete_variable(door.catalog, caller, point, code, expected)
    return Response(status_code=204)
