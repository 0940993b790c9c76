"""Variables of points."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.catalog_rules import variable_in
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import VARIABLES
from caudal.gateway_api.entrypoints.access import CatalogEditor, CatalogReader
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.schemas.catalog import PointVariable, PointVariableBody, VariablePatch
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.handlers.catalog import change_variable, create_variable, delete_variable

variables = room("variables")


@variables.get("/api/variables/", response_model=Listed[PointVariableBody], responses=AS_FILE)
async def list_variables(
    door: TheDoor, _caller: CatalogReader, asked: Annotated[Asked, Depends(asked_for(VARIABLES))]
) -> Response:
    """List variables of all points, or of one."""

    async def read(listing: Listing) -> Page[PointVariable]:
        found = await door.catalog.store.variables(listing)
        items = [PointVariable.of(owner, variable) for owner, variable in found.items]
        return Page(items=items, total=found.total, page=found.page, page_size=found.page_size)

    return await listed(asked, read)


@variables.post("/api/variables/", status_code=201, response_model=PointVariableBody)
async def add_variable(door: TheDoor, caller: CatalogEditor, body: PointVariableBody) -> Response:
    """Add a variable to a point."""
    added = await create_variable(door.catalog, caller, body.point, body.variable())
    return answer(PointVariable.of(body.point, added), 201)


@variables.get("/api/variables/{point}/{code}", response_model=PointVariableBody)
async def get_variable(door: TheDoor, _caller: CatalogReader, point: Id, code: Id) -> Response:
    """Show a variable of a point."""
    owner = await door.catalog.store.point(point)
    if owner is None:
        raise NotFound("variable", f"{point}/{code}")
    return answer(PointVariable.of(point, variable_in(owner, code)))


@variables.patch("/api/variables/{point}/{code}", response_model=PointVariableBody)
async def patch_variable(door: TheDoor, caller: CatalogEditor, point: Id, code: Id, body: VariablePatch) -> Response:
    """Change what is named; the rest stays. `/api/telemetry/process/` applies it to the past."""
    return answer(PointVariable.of(point, await change_variable(door.catalog, caller, point, code, body.applied)))


@variables.delete("/api/variables/{point}/{code}", status_code=204)
async def remove_variable(door: TheDoor, caller: CatalogEditor, point: Id, code: Id) -> Response:
    """Delete a variable; its readings stay in the ledger."""
    await delete_variable(door.catalog, caller, point, code)
    return Response(status_code=204)
