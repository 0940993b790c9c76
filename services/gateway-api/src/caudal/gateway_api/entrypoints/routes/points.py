"""Catchment points and their journal."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Response

from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import JOURNAL, POINTS
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.entrypoints.access import CatalogEditor, PointEditor, PointFinder, PointReader
from caudal.gateway_api.entrypoints.answers import room, shown
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.folding import Folding
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.schemas.catalog import (
    NewPoint,
    PointPatch,
    told,
)
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.entrypoints.schemas.configuration import PointAnswer, PointEntry, ShownPoint
from caudal.gateway_api.handlers.catalog import change_point, create_point, delete_point
from caudal.gateway_api.handlers.folds import Fold, fold_after
from caudal.gateway_api.ports import Change

points = room("points")


@points.get("/api/points/", response_model=Listed[ShownPoint], responses=AS_FILE)
async def list_points(
    door: TheDoor, caller: PointFinder, asked: Annotated[Asked, Depends(asked_for(POINTS))]
) -> Response:
    """List points with their variables; without `points:read`, those at which it was agreed with you as an owner."""

    async def read(listing: Listing) -> Page[PointEntry]:
        found = await door.catalog.store.points(caller.scope, listing)
        return found.mapped(PointEntry.of)

    return await listed(asked, read)


@points.post("/api/points/", status_code=201, response_model=ShownPoint)
async def add_point(door: TheDoor, caller: CatalogEditor, create: Creating, body: NewPoint) -> Response:
    """Add a point, with variables if they are given."""

    async def make() -> Response:
        made = await create_point(door.catalog, caller, body.point(), told(body.credentials))
        return await _shown(door, caller, made.code, status=201)

    return await create(make)


@points.get("/api/points/{code}", response_model=ShownPoint)
async def get_point(door: TheDoor, caller: PointReader, code: Id) -> Response:
    """Show a point with its variables."""
    return await _shown(door, caller, code)


@points.patch("/api/points/{code}", response_model=PointAnswer)
async def patch_point(
    door: TheDoor, caller: PointEditor, fold: Folding, code: Id, expected: IfMatch, body: PointPatch
) -> Response:
    """Change what is named; the rest stays. What readings are judged by changes from `valid_from` on."""
    secrets = told(body.credentials)
    changed = await change_point(door.catalog, caller, code, body.applied, expected, secrets, body.since)
    after = await fold_after(door.telemetry, caller, changed, fold)
    return await _shown(door, caller, code, after)


@points.delete("/api/points/{code}", status_code=204)
async def remove_point(door: TheDoor, caller: CatalogEditor, code: Id, expected: IfMatch) -> Response:
    """Delete a point with its variables; its readings stay in the ledger."""
    await delete_point(door.catalog, caller, code, expected)
    return Response(status_code=204)


@points.get("/api/points/{code}/journal/", response_model=Listed[Change], responses=AS_FILE)
async def point_journal(
    door: TheDoor, caller: PointReader, code: Id, asked: Annotated[Asked, Depends(asked_for(JOURNAL))]
) -> Response:
    """Who changed what about a point, the last change first; deleted points too."""
    return await listed(asked, partial(door.catalog.store.changes, code, caller.scope))


async def _shown(door: Door, caller: Caller, code: str, fold: Fold | None = None, status: int = 200) -> Response:
    """A point as it is now, and what a change of it leaves to be folded again."""
    standing = await door.catalog.store.standing(code, caller.scope)
    if standing is None:
        raise NotFound("point", code)
    return shown(PointEntry.of(standing, fold), status, version=standing.point)
