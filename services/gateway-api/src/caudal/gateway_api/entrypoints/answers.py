"""Answers written straight to JSON: routes declare the shape, msgspec writes it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from caudal.gateway_api.domain.versions import version_of
from caudal.gateway_api.entrypoints.late_route import LateRoute

_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
"""Named and not given as a model: FastAPI would build one for each of these answers of each route, at every start."""

_AGAIN = {"Retry-After": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}}
_SCHEME = {"WWW-Authenticate": {"description": "How to come in.", "schema": {"type": "string"}}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"description": "Nobody known is asking", "content": _PROBLEM, "headers": _SCHEME},
    403: {"description": "The caller may not", "content": _PROBLEM},
    404: {"description": "There is no such thing", "content": _PROBLEM},
    409: {"description": "It contradicts what is there; the answer says why", "content": _PROBLEM},
    412: {"description": "It has changed since the caller read it", "content": _PROBLEM},
    422: {"description": "A field cannot be used; the answer names it", "content": _PROBLEM},
    429: {"description": "Asked or failed too often; see Retry-After", "content": _PROBLEM, "headers": _AGAIN},
    503: {
        "description": "Something we need is away; try again after Retry-After",
        "content": _PROBLEM,
        "headers": _AGAIN,
    },
}
"""What any route may answer besides."""


def room(tag: str) -> APIRouter:
    """A router for one room of the API."""
    return APIRouter(tags=[tag], responses=PROBLEMS, route_class=LateRoute)


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def shown(entry: Any, status: int = 200, version: object = None) -> Response:
    """`entry` as JSON, with its version as ETag: of `version`, where that is what callers change."""
    return answer(entry, status, {"ETag": f'"{version_of(entry if version is None else version)}"'})
