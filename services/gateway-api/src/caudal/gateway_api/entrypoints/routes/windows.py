"""Batch windows: upload a file, run it, flush what became of its rows."""

from typing import Any

from fastapi import Request, Response

from caudal.gateway_api.domain.merging import refuse_unprintable
from caudal.gateway_api.domain.telemetry import CommandState, OrderedCommand
from caudal.gateway_api.entrypoints.access import WindowRunner
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.multipart import FilePart
from caudal.gateway_api.entrypoints.once import Creating, IdempotencyKey
from caudal.gateway_api.entrypoints.routes.readings import ordered
from caudal.gateway_api.entrypoints.schemas.common import Id, Problem
from caudal.gateway_api.entrypoints.schemas.telemetry import OrderAnswer
from caudal.gateway_api.entrypoints.schemas.windows import FlushAnswer, RunAnswer, RunBody, UploadAnswer
from caudal.gateway_api.handlers.orders import done_or_under_way
from caudal.gateway_api.handlers.windows import flush, run_window, save_upload, window_of

windows = room("windows")

FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary", "description": "A table"}},
                }
            }
        },
    }
}
UPLOADING: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "The file is too large"},
    415: {"model": Problem, "description": "The body is no multipart/form-data"},
    507: {"model": Problem, "description": "The disk is too full"},
}
"""What a route that takes a file may answer besides."""


@windows.post("/api/upload_csv", response_model=UploadAnswer, openapi_extra=FILE, responses=UPLOADING)
async def upload_csv(
    door: TheDoor, request: Request, caller: WindowRunner, idempotency_key: IdempotencyKey = None
) -> Response:
    """Keep a CSV or Parquet file, to be run as a batch window."""
    part = await FilePart(request).opened()
    path = await save_upload(door.windows, caller, part.name, part.chunks(), idempotency_key)
    return answer(UploadAnswer(True, path))


@windows.post(
    "/api/run_window",
    response_model=RunAnswer,
    responses={202: {"model": RunAnswer, "description": "The loader is still at it"}},
)
async def run(door: TheDoor, caller: WindowRunner, create: Creating, body: RunBody | None = None) -> Response:
    """Run an uploaded file as a batch window: each row goes over the bus like any other reading.

    The whole report of the loader stands where `Location` says.
    """
    asked = body or RunBody()
    refuse_unprintable(asked.options, "options")

    async def make() -> Response:
        return window_answer(*await run_window(door.windows, caller, asked.path, asked.options))

    return await create(make)


def window_answer(order: OrderedCommand, path: str) -> Response:
    """How a window stands that was just ordered; `Location` says where it can be asked for.

    Raises:
        OrderFailed: the file or the options cannot be used.
    """
    done_or_under_way(order)
    status = 200 if order.state is CommandState.DONE else 202
    return answer(RunAnswer(True, status, _loader_said(order, path)), status, {"Location": f"/api/windows/{order.id}"})


def _loader_said(order: OrderedCommand, path: str) -> dict[str, Any]:
    """Rows and path; what was not read as it stands, or is not read yet, is told as well."""
    said = order.detail
    if order.state is CommandState.DONE and not said.get("rejected") and not said.get("with_problems"):
        return {"rows": said.get("rows"), "path": path}
    return {**said, "path": path, "id": order.id}


@windows.get("/api/windows/{window}", response_model=OrderAnswer)
async def get_window(door: TheDoor, caller: WindowRunner, window: Id) -> Response:
    """Show how far a window has come."""
    return ordered(await window_of(door.windows, caller, window))


@windows.get("/flush", response_model=FlushAnswer)
async def flush_windows(door: TheDoor, _caller: WindowRunner) -> Response:
    """Write `processed_window.csv`: the latest version of every row of the batch windows."""
    rows, path = await flush(door.windows)
    return answer(FlushAnswer(rows, str(path)))
