"""Every error as one shape, and the one table of what status each has."""

import errno
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from caudal.common.domain.errors import CaudalError, InvalidInput, NotFound, Permanent, Transient
from caudal.gateway_api.domain.errors import (
    Conflict,
    Forbidden,
    OrderFailed,
    OutOfSpace,
    Stale,
    TooManyAttempts,
    TooManyRequests,
    Unauthorized,
    UnsupportedMedia,
)
from caudal.gateway_api.entrypoints.schemas.common import Problem, ProblemBody, ProblemField

STATUSES: tuple[tuple[type[CaudalError], int, str], ...] = (
    (Unauthorized, 401, "unauthorized"),
    (Forbidden, 403, "forbidden"),
    (NotFound, 404, "not_found"),
    (Conflict, 409, "conflict"),
    (Stale, 412, "stale"),
    (UnsupportedMedia, 415, "unsupported_media_type"),
    (InvalidInput, 422, "invalid_input"),
    (OrderFailed, 422, "order_failed"),
    (TooManyAttempts, 429, "too_many_attempts"),
    (TooManyRequests, 429, "too_many_requests"),
    (OutOfSpace, 507, "out_of_space"),
    (Transient, 503, "try_again"),
    (Permanent, 409, "refused"),
)
"""The first that fits counts."""

CODES = {
    400: "unreadable_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "unsupported_media_type",
}
"""Words for what the framework itself refuses."""

REASONS = {
    "extra_forbidden": "there is no such field",
    "missing": "is missing",
    "model_attributes_type": "must be a JSON object; is the Content-Type application/json?",
    "dict_type": "must be an object",
    "dataclass_type": "must be an object",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "string_type": "must be a text",
    "string_unicode": "has a character that cannot be stored",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "finite_number": "must be a finite number",
    "enum": "is none of {expected}",
    "literal_error": "is none of {expected}",
    "unexpected_keyword_argument": "there is no such field",
    "string_pattern_mismatch": "does not match {pattern}",
    "string_too_long": "is longer than {max_length}",
    "string_too_short": "is shorter than {min_length}",
    "too_short": "is shorter than {min_length}",
    "too_long": "is longer than {max_length}",
    "greater_than_equal": "is below {ge}",
    "less_than_equal": "is above {le}",
}
"""What pydantic finds, in words for whoever asked; what is not here is told in its own."""

_log = structlog.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Answer every error of `app` in the one shape."""
    app.add_exception_handler(CaudalError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_refused_by_framework)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(OSError, _on_system)
    app.add_exception_handler(Exception, _on_bug)


def problem(
    status: int,
    code: str,
    message: str,
    fields: Iterable[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that tells of an error."""
    named = [ProblemField(field=_printable(field), reason=_printable(reason)) for field, reason in fields]
    body = Problem(error=ProblemBody(code=code, message=_printable(message), fields=named))
    return Response(body.model_dump_json(), status, headers, media_type="application/json")


async def _on_ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CaudalError)
    return problem_of(error)


def problem_of(error: CaudalError) -> Response:
    """The answer that tells of an error of ours."""
    status, code = next((status, code) for kind, status, code in STATUSES if isinstance(error, kind))
    if status >= 500:
        _log.warning("cannot answer", reason=str(error))
    return problem(status, code, _message(error), _fields(error), _headers(error))


def _message(error: Exception) -> str:
    if isinstance(error, Transient):
        # What follows the colon is the driver's word, for the log.
        return f"{str(error).partition(':')[0]}; please try again"
    return str(error)


def _fields(error: Exception) -> list[tuple[str, str]]:
    if isinstance(error, InvalidInput) or (isinstance(error, Conflict | OrderFailed) and error.field):
        return [(str(error.field), error.reason)]
    return []


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, Transient | TooManyAttempts | TooManyRequests):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    return {}


async def _on_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [field_of(found) for found in error.errors()]
    message = "; ".join(f"{field}: {reason}" for field, reason in fields[:3])
    if any(found["type"] == "json_invalid" for found in error.errors()):
        return problem(400, "unreadable_request", message, fields)
    return problem(422, "invalid_input", message, fields)


def field_of(found: Mapping[str, Any]) -> tuple[str, str]:
    """Where, in the words of who asked, and why, from one error of pydantic's."""
    place = _without_inlet(found["loc"])
    context = found.get("ctx", {})
    cause = context.get("error")
    if found["type"] == "json_invalid":
        return "body", f"is no JSON at character {found['loc'][-1]}: {cause}"
    if isinstance(cause, InvalidInput):
        # Our own types name the field within what pydantic was looking at.
        return ".".join(part for part in (place, cause.field) if part) or "body", cause.reason
    reason = REASONS.get(found["type"])
    told = reason.format_map(context) if reason else str(found["msg"]).removeprefix("Value error, ")
    return place or "body", told


def _without_inlet(loc: Sequence[str | int]) -> str:
    parts = [str(part) for part in loc if part != "[key]"]
    if parts and parts[0] in ("body", "query", "path", "header", "cookie"):
        parts = parts[1:]
    return ".".join(parts)


async def _on_refused_by_framework(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "refused")
    if error.status_code == 400:
        # The framework's word for a body that is no text, or nested too deeply.
        return problem(400, code, "body: cannot be read as JSON", [("body", "cannot be read as JSON")])
    return problem(error.status_code, code, str(error.detail), headers=error.headers)


async def _on_gone(_request: Request, _error: Exception) -> Response:
    """Nobody will read this."""
    return problem(400, "unreadable_request", "The body broke off.")


async def _on_system(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return problem(507, "out_of_space", "The disk is full.")
    return await _on_bug(_request, error)


async def _on_bug(request: Request, error: Exception) -> Response:
    _log.error("bug", method=request.method, path=request.url.path, exc_info=error)
    return problem(500, "bug", "Something went wrong on our side; it is in the log.")


def _printable(text: str) -> str:
    """Text that can be written as UTF-8, whatever a caller put into a name."""
    return text.encode("utf-8", "replace").decode()[:500]
