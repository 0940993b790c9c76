"""A listening HTTP server inside a service's own event loop, and the three routes that every service answers."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from caudal.common.domain.errors import Permanent

DRAIN_S = 5
"""How long requests under way may take when the server stops."""

_log = structlog.get_logger(__name__)


class HttpServer:
    """Serves one ASGI application until cancelled; requests under way are finished."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self.port = port
        """Where it listens; 0 until it runs means any free one."""

    async def run(self) -> None:
        """Listen and serve.

        Raises:
            Permanent: the address cannot be listened on.
        """
        listener = self._listen()
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            # X-Forwarded-For is believed where an application says from whom, not from anybody on this machine.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await serving

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host, self.port), family=family, backlog=2048)
        except OSError as error:
            why = str(error.strerror).partition(" (")[0]
            raise Permanent(f"cannot listen on {self._host} port {self.port}: {why}") from error
        self.port = listener.getsockname()[1]
        _log.info("listening", host=self._host, port=self.port)
        return listener


class _Server(uvicorn.Server):
    """Leaves signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class NotYet:
    """An application that is not open to everybody yet: until `is_open`, all but `paths` are asked to come again."""

    def __init__(self, app: Any, is_open: Callable[[], bool], paths: Collection[str]) -> None:
        self._app = app
        self._is_open = is_open
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI wants it."""
        app = self._app
        if scope["type"] == "http" and scope["path"] not in self._paths and not self._is_open():
            told = {"code": "starting", "message": "This is still starting; /health/ready says why.", "fields": []}
            app = JSONResponse({"error": told}, 503, {"Retry-After": "1"})
        await app(scope, receive, send)


def health_routes(
    readiness: Callable[[], Awaitable[dict[str, Any]]], registry: CollectorRegistry, metrics_path: str = "/metrics"
) -> list[Route]:
    """`/health/live`, `/health/ready` and the metrics, for any Starlette or FastAPI application."""

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        report = await readiness()
        return JSONResponse(report, 200 if report["ready"] else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health/live", live), Route("/health/ready", ready), Route(metrics_path, metrics)]


def health_app(routes: list[Route]) -> Starlette:
    """An application with these routes and nothing else."""
    return Starlette(routes=routes)
