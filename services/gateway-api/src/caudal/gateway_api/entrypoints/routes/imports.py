"""Imports from an older system: hand a file in, see what it would do, let it be done."""

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.import_maps import history_options, map_from
from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.domain.imports import Report
from caudal.gateway_api.domain.merging import refuse_unprintable
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.telemetry import CommandState
from caudal.gateway_api.entrypoints.access import Importer
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.multipart import FilePart
from caudal.gateway_api.entrypoints.once import Creating, IdempotencyKey
from caudal.gateway_api.entrypoints.representations import CSV
from caudal.gateway_api.entrypoints.routes.readings import ordered
from caudal.gateway_api.entrypoints.routes.windows import FILE, UPLOADING
from caudal.gateway_api.entrypoints.schemas.common import Id
from caudal.gateway_api.entrypoints.schemas.imports import ImportBody
from caudal.gateway_api.entrypoints.schemas.telemetry import OrderAnswer
from caudal.gateway_api.entrypoints.schemas.windows import RunAnswer, UploadAnswer
from caudal.gateway_api.handlers.imports import How, check_may, import_file
from caudal.gateway_api.handlers.orders import done_or_under_way
from caudal.gateway_api.handlers.windows import rejects_of, run_history, save_upload, uploaded_by, window_of

imports = room("imports")

SHOWN = 1000
"""Rows that a report tells of."""
DryRun = Annotated[bool, Query(description="Only tell what would be done.")]


@imports.post("/api/import/upload", response_model=UploadAnswer, openapi_extra=FILE, responses=UPLOADING)
async def upload_import(
    door: TheDoor, request: Request, caller: Importer, idempotency_key: IdempotencyKey = None
) -> Response:
    """Keep a CSV, Parquet or JSON file, to be imported."""
    part = await FilePart(request).opened()
    path = await save_upload(door.windows, caller, part.name, part.chunks(), idempotency_key)
    return answer(UploadAnswer(True, path))


@imports.post(
    "/api/import/",
    response_model=Report | RunAnswer,
    responses={202: {"model": RunAnswer, "description": "History that is still being read"}},
)
async def import_upload(
    door: TheDoor, caller: Importer, create: Creating, body: ImportBody, dry_run: DryRun = False
) -> Response:
    """Import points, variables, owners or history from an uploaded file; the second time nothing is left to do.

    History is read by the loader, of any size: what takes more than a few seconds is 202, and `Location` says where to
    ask how it stands. Of somebody of a client, rows of the own points alone are taken.
    """

    async def make() -> Response:
        refuse_unprintable(body.map, "map")
        check_may(caller, body.kind)
        if body.kind is ImportKind.HISTORY:
            return await _history(door, caller, body, dry_run)
        said = map_from(body.map)
        how = How(kind=body.kind, map=said, dry_run=dry_run, all_or_nothing=body.all_or_nothing, shown=SHOWN)
        path = await uploaded_by(door.windows, caller, body.path)
        return answer(await import_file(door.imports, caller, path, how))

    return await create(make)


async def _history(door: Door, caller: Caller, body: ImportBody, dry_run: bool) -> Response:
    if body.all_or_nothing:
        raise InvalidInput("all_or_nothing", "history goes in row by row; what is refused is in the report")
    options = history_options(map_from(body.map))
    order, path = await run_history(door.windows, caller, body.path, options, dry_run=dry_run)
    done_or_under_way(order)
    status = 200 if order.state is CommandState.DONE else 202
    said = RunAnswer(True, status, {**order.detail, "path": path, "id": order.id})
    return answer(said, status, {"Location": f"/api/import/{order.id}"})


@imports.get("/api/import/{order}", response_model=OrderAnswer)
async def get_import(door: TheDoor, caller: Importer, order: Id) -> Response:
    """Show how an import of history stands: how far it is read, and at the end the report."""
    check_may(caller, ImportKind.HISTORY)
    return ordered(await window_of(door.windows, caller, order))


@imports.get(
    "/api/import/{order}/rejected",
    response_class=FileResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def get_rejected_rows(door: TheDoor, caller: Importer, order: Id) -> FileResponse:
    """Give what an import of history did not take, as CSV: row, column, value, reason, and the whole row."""
    check_may(caller, ImportKind.HISTORY)
    path = await rejects_of(door.windows, caller, order)
    return FileResponse(path, media_type=CSV, filename=path.name)
