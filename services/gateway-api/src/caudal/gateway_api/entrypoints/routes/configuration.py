"""What was valid at a point in earlier times, and the swaps of its meters."""

from typing import Annotated

from fastapi import Depends, Path, Response

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import SWAPS, VERSIONS
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.short_lists import page_among
from caudal.gateway_api.domain.timeline import PointVersion, version_valid_at, versions_of
from caudal.gateway_api.entrypoints.access import PointEditor, PointReader
from caudal.gateway_api.entrypoints.answers import answer, room, shown
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.folding import Folding
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.routes.variables import variable_after
from caudal.gateway_api.entrypoints.schemas.begins import ValidFrom
from caudal.gateway_api.entrypoints.schemas.common import Id, Instant, Listed
from caudal.gateway_api.entrypoints.schemas.configuration import (
    Changed,
    ChangedVersion,
    MeterSwapBody,
    Refolding,
    SwapEntry,
    VariableAnswer,
    VersionAnswer,
    VersionBody,
    VersionPatch,
)
from caudal.gateway_api.handlers.configuration import (
    change_version,
    delete_version,
    remove_swap,
    swap_meter,
    version_at,
)
from caudal.gateway_api.handlers.folds import fold_after

configuration = room("points")

Begin = Annotated[ValidFrom, Path(description="`beginning`, or the `valid_from` of a version.")]


@configuration.get("/api/points/{code}/versions/", response_model=Listed[VersionBody], responses=AS_FILE)
async def list_versions(
    door: TheDoor, caller: PointReader, code: Id, asked: Annotated[Asked, Depends(asked_for(VERSIONS))]
) -> Response:
    """List what a point's readings are judged by, the oldest first; the last one is valid now."""

    async def read(listing: Listing) -> Page[PointVersion]:
        return page_among(versions_of(await _point(door, caller, code)), listing, VERSIONS)

    return await listed(asked, read)


@configuration.get("/api/points/{code}/versions/{valid_from}", response_model=VersionBody)
async def get_version(door: TheDoor, caller: PointReader, code: Id, valid_from: Begin) -> Response:
    """Show what is valid from an instant on."""
    return shown(version_at(await _point(door, caller, code), valid_from))


@configuration.patch("/api/points/{code}/versions/{valid_from}", response_model=VersionAnswer)
async def patch_version(
    door: TheDoor,
    caller: PointEditor,
    fold: Folding,
    code: Id,
    valid_from: Begin,
    expected: IfMatch,
    body: VersionPatch,
) -> Response:
    """Correct one version and no other; the last one is the point itself."""
    changed = await change_version(door.catalog, caller, code, valid_from, body.since, body.applied, expected)
    told = await fold_after(door.telemetry, caller, changed, fold)
    found = version_valid_at(changed.point, body.since.at if body.since is not None else valid_from)
    return shown(ChangedVersion.after(found, told), version=found)


@configuration.delete("/api/points/{code}/versions/{valid_from}", response_model=Changed)
async def remove_version(
    door: TheDoor, caller: PointEditor, fold: Folding, code: Id, valid_from: Begin, expected: IfMatch
) -> Response:
    """Remove a version: the one before it takes its time, or the next, where it was the first."""
    changed = await delete_version(door.catalog, caller, code, valid_from, expected)
    return answer(Refolding.after(await fold_after(door.telemetry, caller, changed, fold)))


@configuration.get("/api/points/{code}/meter-swaps/", response_model=Listed[SwapEntry], responses=AS_FILE)
async def list_meter_swaps(
    door: TheDoor, caller: PointReader, code: Id, asked: Annotated[Asked, Depends(asked_for(SWAPS))]
) -> Response:
    """List meter replacements that were declared, the oldest first."""

    async def read(listing: Listing) -> Page[SwapEntry]:
        return page_among(_swaps(await _point(door, caller, code)), listing, SWAPS)

    return await listed(asked, read)


@configuration.post("/api/points/{code}/meter-swaps/", status_code=201, response_model=VariableAnswer)
async def declare_meter_swap(
    door: TheDoor, caller: PointEditor, fold: Folding, code: Id, create: Creating, body: MeterSwapBody
) -> Response:
    """Declare that a meter was replaced."""

    async def make() -> Response:
        changed = await swap_meter(door.catalog, caller, code, body.variable, body.swap())
        return await variable_after(door, caller, changed, body.variable, fold, 201)

    return await create(make)


@configuration.delete("/api/points/{code}/meter-swaps/{variable}/{at}", response_model=Changed)
async def take_back_meter_swap(
    door: TheDoor, caller: PointEditor, fold: Folding, code: Id, variable: Id, at: Instant, expected: IfMatch
) -> Response:
    """Take back that a meter was replaced; `If-Match` is about the variable."""
    changed = await remove_swap(door.catalog, caller, code, variable, at, expected)
    return answer(Refolding.after(await fold_after(door.telemetry, caller, changed, fold)))


async def _point(door: Door, caller: Caller, code: str) -> Point:
    point = await door.catalog.store.history(code, caller.scope)
    if point is None:
        raise NotFound("point", code)
    return point


def _swaps(point: Point) -> list[SwapEntry]:
    return [
        SwapEntry(variable=variable.code, at=swap.at, starts_at=swap.starts_at, note=swap.note)
        for variable in point.variables
        if variable.counter is not None
        for swap in variable.counter.swaps
    ]
