"""Answers written straight to JSON: routes declare the shape, msgspec writes it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from caudal.gateway_api.domain.versions import version_of
from caudal.gateway_api.entrypoints.schemas.common import Problem

PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "Nobody known is asking"},
    403: {"model": Problem, "description": "The caller may not"},
    404: {"model": Problem, "description": "There is no such thing"},
    409: {"model": Problem, "description": "It contradicts what is there; the answer says why"},
    412: {"model": Problem, "description": "It has changed since the caller read it"},
    422: {"model": Problem, "description": "A field cannot be used; the answer names it"},
    503: {"model": Problem, "description": "Something we need is away; try again after Retry-After"},
}
"""What any route may answer besides."""


def room(tag: str) -> APIRouter:
    """A router for one room of the API."""
    return APIRouter(tags=[tag], responses=PROBLEMS)


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def shown(entry: Any, status: int = 200, version: object = None) -> Response:
    """`entry` as JSON, with its version as ETag: of `version`, where that is what callers change."""
    return answer(entry, status, {"ETag": f'"{version_of(entry if version is None else version)}"'})
