"""Imports from an older system: hand a file in, see what it would do, let it be done."""

from typing import Annotated

from fastapi import Query, Request, Response

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.import_maps import history_options, map_from
from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.domain.imports import Report
from caudal.gateway_api.domain.merging import refuse_unprintable
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.entrypoints.access import Importer
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.multipart import FilePart
from caudal.gateway_api.entrypoints.once import Creating, IdempotencyKey
from caudal.gateway_api.entrypoints.routes.windows import FILE, UPLOADING, window_answer
from caudal.gateway_api.entrypoints.schemas.imports import ImportBody
from caudal.gateway_api.entrypoints.schemas.windows import RunAnswer, UploadAnswer
from caudal.gateway_api.handlers.imports import How, check_may, import_file
from caudal.gateway_api.handlers.windows import run_history, save_upload, uploaded_by

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

    History is run as a batch window, and answered as one; of somebody of a client, rows of the own points alone are
    taken. `Location` says where to ask how it stands.
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
    if dry_run:
        raise InvalidInput("dry_run", "history is tried on the server: caudal import FILE --kind history --dry-run")
    if body.all_or_nothing:
        raise InvalidInput("all_or_nothing", "history goes in row by row; what is refused is in the report")
    order, path = await run_history(door.windows, caller, body.path, history_options(map_from(body.map)))
    return window_answer(order, path, "/api/windows" if caller.client is None else "/api/telemetry/process")
