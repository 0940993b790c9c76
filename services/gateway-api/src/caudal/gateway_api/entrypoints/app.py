"""The application: rooms, errors and what holds for every request, put together."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import CollectorRegistry
from starlette.routing import Route
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from caudal.gateway_api.entrypoints import errors
from caudal.gateway_api.entrypoints.access import with_schemes
from caudal.gateway_api.entrypoints.door import Door
from caudal.gateway_api.entrypoints.examples import add_examples
from caudal.gateway_api.entrypoints.finding import ByBeginning, EitherSlash
from caudal.gateway_api.entrypoints.middleware import BoundedBodies, Counted, Numbered, Paced, SafeHeaders
from caudal.gateway_api.entrypoints.routes.api_keys import api_keys
from caudal.gateway_api.entrypoints.routes.asking import asking
from caudal.gateway_api.entrypoints.routes.audit import audit
from caudal.gateway_api.entrypoints.routes.auth import auth
from caudal.gateway_api.entrypoints.routes.configuration import configuration
from caudal.gateway_api.entrypoints.routes.imports import imports
from caudal.gateway_api.entrypoints.routes.mappings import mappings
from caudal.gateway_api.entrypoints.routes.points import points
from caudal.gateway_api.entrypoints.routes.providers import providers
from caudal.gateway_api.entrypoints.routes.queues import queues
from caudal.gateway_api.entrypoints.routes.readings import readings
from caudal.gateway_api.entrypoints.routes.roles import roles
from caudal.gateway_api.entrypoints.routes.schemas import schemas
from caudal.gateway_api.entrypoints.routes.series import series
from caudal.gateway_api.entrypoints.routes.system import add_documentation, system
from caudal.gateway_api.entrypoints.routes.tenancy import clients, users
from caudal.gateway_api.entrypoints.routes.uplink import uplink
from caudal.gateway_api.entrypoints.routes.variables import variables
from caudal.gateway_api.entrypoints.routes.windows import windows

ROOMS = (
    auth,
    roles,
    api_keys,
    audit,
    clients,
    users,
    points,
    configuration,
    variables,
    providers,
    asking,
    mappings,
    uplink,
    series,
    readings,
    schemas,
    windows,
    imports,
    queues,
    system,
)
DESCRIPTION = """\
Log in with `POST /api/auth/login` and send the token as `Authorization: Bearer <token>`; providers push with
`X-API-Key`. Times are RFC 3339 with a zone. Every error has one shape: `{"error": {"code", "message", "fields"}}`.

Lists have `search`, filters, `order`, `page` and `page_size`, and come as a file with `format=csv`. What can be changed
has an `ETag`; with `If-Match` a change is refused (412) when somebody else was faster. A POST that creates takes an
`Idempotency-Key`: however often it comes within a day, one thing is made.
"""
MULTIPART_OVERHEAD = 65_536
"""Bytes of an upload's body that are not the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the door lets through."""

    body_bytes: int = 1024 * 1024
    push_bytes: int = 1024 * 1024
    upload_bytes: int = 1024 * 1024 * 1024
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call us; none: only our own."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-For is believed."""


class Documented(FastAPI):
    """An application whose document says both ways in, and has an example of every body and every answer."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return add_examples(with_schemes(super().openapi()))


def create_app(door: Door | None, bounds: Bounds, registry: CollectorRegistry) -> FastAPI:
    """The application; without a door it only tells its documentation."""
    app = Documented(
        title="Caudal",
        version=version("caudal-gateway-api"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.door = door
    # Taken over as they are: to include a router builds every schema a second time, at the first request.
    app.router.routes += [route for room in ROOMS for route in room.routes]
    add_documentation(app)
    app.router.middleware_stack = ByBeginning(app.router)
    errors.install(app)
    _wrap(app, bounds, registry)
    return app


def _wrap(app: FastAPI, bounds: Bounds, registry: CollectorRegistry) -> None:
    """What is added last sees a request first."""
    limits = {
        "/api/telemetry/uplink/": bounds.push_bytes,
        "/api/upload_csv": bounds.upload_bytes + MULTIPART_OVERHEAD,
        "/api/import/upload": bounds.upload_bytes + MULTIPART_OVERHEAD,
    }
    paths = [route.path for room in ROOMS for route in room.routes if isinstance(route, Route)]
    app.add_middleware(EitherSlash, paths=paths)
    app.add_middleware(BoundedBodies, limits=limits, otherwise=bounds.body_bytes)
    if bounds.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(bounds.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-API-Key"],
            expose_headers=["ETag", "Retry-After", "Content-Disposition", "Location"],
            max_age=600,
        )
    door: Door | None = app.state.door
    if door is not None:
        app.add_middleware(Paced, rates=door.rates)
    app.add_middleware(SafeHeaders)
    app.add_middleware(Counted, registry=registry)
    app.add_middleware(Numbered)
    if bounds.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(bounds.trusted_proxies))
