"""The inlets for providers and devices that call us."""

from typing import Any

from fastapi import Request, Response

from caudal.gateway_api.domain.errors import UnsupportedMedia
from caudal.gateway_api.entrypoints.access import PushingKey
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.once import IdempotencyKey
from caudal.gateway_api.entrypoints.pushing import Pusher
from caudal.gateway_api.entrypoints.schemas.common import Id, Problem
from caudal.gateway_api.entrypoints.schemas.telemetry import PushAnswer
from caudal.gateway_api.handlers.intake import take_push, take_uplink

uplink = room("telemetry")

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "JSON of any shape; the provider's mapping reads it, or the point's where a device sends it.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"type": "object"}, {"type": "array"}]},
                "example": {
                    "device": "meter-0007",
                    "measured_at": "2026-03-02T10:00:00Z",
                    "values": {"totalizer": 18423, "flow": 12.4},
                },
            }
        },
    }
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "The body is too large"},
    415: {"model": Problem, "description": "The body is compressed"},
    507: {"model": Problem, "description": "The disk is too full"},
}


@uplink.post(
    "/api/telemetry/uplink/", status_code=202, response_model=PushAnswer, openapi_extra=_BODY, responses=_REFUSED
)
async def send(door: TheDoor, request: Request, key: PushingKey, idempotency_key: IdempotencyKey = None) -> Response:
    """Take a device's readings, with a key of its own; 202 means that the broker has them."""
    body = await _plain_body(request)
    return answer(PushAnswer(await take_uplink(door.intake, key, body, idempotency_key)), 202)


@uplink.post(
    "/api/telemetry/uplink/{provider}",
    status_code=202,
    response_model=PushAnswer,
    openapi_extra=_BODY,
    responses=_REFUSED,
)
async def push(
    door: TheDoor,
    request: Request,
    pusher: Pusher,
    provider: Id,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take a provider's readings; 202 means that the broker has them."""
    body = await _plain_body(request)
    # What is sent again, by the provider or by somebody who overheard it, has the same id.
    once_as = request.headers.get("webhook-id") if idempotency_key is None else idempotency_key
    return answer(PushAnswer(await take_push(door.intake, pusher, provider, body, once_as)), 202)


async def _plain_body(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMedia(f"send the body as it is, not as {encoding[:20]!r}")
    return await request.body()
