"""What holds for every request: bounded bodies, security headers, and being counted."""

import asyncio
import logging
import time
from collections.abc import Mapping
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caudal.common.domain.ids import is_id
from caudal.gateway_api.domain.attempts import network_of
from caudal.gateway_api.domain.errors import TooManyRequests
from caudal.gateway_api.entrypoints.errors import problem_of
from caudal.gateway_api.ports import Rates

REQUEST_ID = "request_id"
"""Where a request's id is in its state."""
BODY_PAUSE_S = 20.0
"""How long a caller may be silent in the middle of a body."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_ELSEWHERE = [*_SAFE, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
_API = [*_ELSEWHERE, (b"cache-control", b"private, no-cache")]
_DOCS_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; frame-ancestors 'none'"
)
_DOCS = [*_SAFE, (b"content-security-policy", _DOCS_POLICY)]

_log = structlog.get_logger("access")
_level = logging.getLogger("access")
"""Asked first: structlog puts a line together before it finds that nobody reads it."""


class BoundedBodies:
    """Refuses bodies that are longer than their path takes, or that never end."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int], otherwise: int) -> None:
        self._app = app
        self._limits = dict(limits)
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a `receive` that counts."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        limit = self._limit_of(scope["path"])
        come, ended = 0, False

        async def bounded() -> Message:
            nonlocal come, ended
            if ended:
                return await receive()
            announced = Headers(scope=scope).get("content-length", "")
            if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
                raise _too_large(limit)
            try:
                async with asyncio.timeout(BODY_PAUSE_S):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, f"no more of the body came for {BODY_PAUSE_S:.0f} s") from error
            if message["type"] == "http.request":
                come += len(message.get("body", b""))
                ended = not message.get("more_body", False)
            if come > limit:
                raise _too_large(limit)
            return message

        return await self._app(scope, bounded, send)

    def _limit_of(self, path: str) -> int:
        for prefix, limit in self._limits.items():
            if path.startswith(prefix):
                return limit
        return self._otherwise


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body may have at most {limit} bytes", {"Connection": "close"})


PUSHES = "/api/telemetry/uplink/"
"""Below it every key has a rate of its own, and an address pays for what came without one (`access`)."""


class Paced:
    """Refuses an address that asks too often, before anything is done for it."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the API on, if it is not one too many."""
        if scope["type"] == "http" and scope["path"].startswith("/api/") and not scope["path"].startswith(PUSHES):
            try:
                await self._rates.count("address", network_of(scope["client"][0] if scope.get("client") else None))
            except TooManyRequests as error:
                return await problem_of(error)(scope, receive, send)
        return await self._app(scope, receive, send)


class SafeHeaders:
    """Tells browsers to be careful."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add the headers to its answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                message["headers"] += [header for header in _safe(scope["path"]) if header[0] not in said]
            await send(message)

        return await self._app(scope, receive, with_headers)


def _safe(path: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that says nothing else."""
    if path.startswith("/api/"):
        return _API
    return _DOCS if path.startswith("/docs") else _ELSEWHERE


class Numbered:
    """Gives every request an id, its caller's own if it has a usable one; the log, the answer and the audit show it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its id."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        number = given if is_id(given) else uuid4().hex
        scope.setdefault("state", {})[REQUEST_ID] = number

        async def with_number(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", number.encode()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request=number):
            return await self._app(scope, receive, with_number)


class Counted:
    """Times every request by route and status, and logs it."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            "caudal_http_seconds",
            "Time from a request to the end of its answer",
            ["method", "route", "status"],
            registry=registry,
            buckets=SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see what becomes of it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status = time.perf_counter(), 0

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            took_s = time.perf_counter() - begun
            # The template, not the path: paths are without number.
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._seconds.labels(method, route, str(status)).observe(took_s)
            if _level.isEnabledFor(logging.DEBUG):
                took_ms = round(took_s * 1e3, 1)
                _log.debug("request", method=method, path=scope["path"][:200], status=status, took_ms=took_ms)
        return None


_METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}
