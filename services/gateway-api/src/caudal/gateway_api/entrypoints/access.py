"""Who may come in, as types for the signatures of routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.base import SecurityBase

from caudal.common.domain.ids import is_id
from caudal.gateway_api.domain.attempts import network_of
from caudal.gateway_api.domain.errors import Forbidden, Unauthorized
from caudal.gateway_api.domain.permissions import ApiKey, Caller, Origin, Permission
from caudal.gateway_api.entrypoints.door import Door, TheDoor, door_of
from caudal.gateway_api.entrypoints.middleware import REQUEST_ID
from caudal.gateway_api.handlers.identity import caller_of
from caudal.gateway_api.handlers.keys import key_holder

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="What `POST /api/auth/login` gave.")
_api_key = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    scheme_name="api_key",
    description="An API key, for programs; `Authorization: ApiKey …` is read too.",
)

KeyHeader = Annotated[str | None, Security(_api_key)]


def origin_of(request: Request) -> Origin:
    """Where a request comes from; behind a proxy that we trust, from before it."""
    address = request.client.host[:64] if request.client else None
    return Origin(address, request.scope.get("state", {}).get(REQUEST_ID))


class _Users(SecurityBase):
    """Lets users in who have logged in.

    All of it is one dependency: FastAPI takes as long for each one of a route as the database for a short question.
    """

    model = _bearer.model
    scheme_name = _bearer.scheme_name

    async def __call__(self, request: Request) -> Caller:
        """The user whose token came with the request."""
        door, bearer = door_of(request), await _bearer(request)
        if bearer is None:
            raise Unauthorized("log in and send `Authorization: Bearer <token>`")
        caller = await caller_of(door.identity, bearer.credentials, origin_of(request))
        await door.rates.count("caller", caller.user)
        return caller


class _Known(_Users):
    """Lets users in, and programs with an API key."""

    scheme_name = "token or api_key"

    async def __call__(self, request: Request) -> Caller:
        """The user whose token came with the request, or the holder of the key."""
        secret = _secret_of(request, await _api_key(request))
        if not secret or await _bearer(request) is not None:
            return await super().__call__(request)
        door = door_of(request)
        caller = replace((await key_holder(door.identity, secret)).caller, origin=origin_of(request))
        await door.rates.count("caller", caller.user)
        return caller


class Gate(_Known):
    """Lets callers with one permission in; a test can read from a route which one that is."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def passed(self, caller: Caller) -> Caller:
        """The caller, who has the permission.

        Raises:
            Forbidden: the caller has not.
        """
        if not caller.may(self.permission):
            raise Forbidden(f"your role ({caller.role}) may not do this: it needs {self.permission}")
        return caller


class WhoMay(Gate):
    """Lets callers with one permission in."""

    async def __call__(self, request: Request) -> Caller:
        """The caller, who has the permission."""
        return self.passed(await super().__call__(request))


class OrOneself(_Known):
    """Lets callers with one permission in, and every user, who then finds and changes what is the user's own."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Caller:
        """The caller; without the permission, alone."""
        caller = await super().__call__(request)
        if caller.may(self.permission):
            return caller
        if caller.session is None:
            raise Forbidden(f"this API key may not do this: it needs {self.permission}")
        return replace(caller, alone=True)


class WhoMayThere(Gate):
    """Lets callers with one permission in, and owners with whom it was agreed for the point that the request is about:
    the one in the path, or else in the body, the very one that the route reads."""

    async def __call__(self, request: Request) -> Caller:
        """The caller, who has the permission, there at least."""
        caller, point = await super().__call__(request), await point_of(request)
        return self.passed(await agreed(door_of(request), caller, self.permission, point))


class WhoMayAskThere(Gate):
    """As `WhoMayThere`, where the query names the point."""

    async def __call__(self, request: Request) -> Caller:
        """The caller, who has the permission, there at least."""
        caller, point = await super().__call__(request), request.query_params.get("point")
        return self.passed(await agreed(door_of(request), caller, self.permission, point))


class WhoMayWhereAgreed(Gate):
    """Lets callers with one permission in, and owners with whom it was agreed for some points, who find these alone."""

    async def __call__(self, request: Request) -> Caller:
        """The caller, who has the permission, or finds only where it was agreed."""
        caller = await super().__call__(request)
        if caller.may(self.permission) or caller.session is None:
            return self.passed(caller)
        if not await door_of(request).identity.users.is_agreed(caller.user, self.permission):
            return self.passed(caller)
        return replace(caller, agreed=self.permission)


async def agreed(door: Door, caller: Caller, permission: Permission, point: str | None) -> Caller:
    """The caller, with what was agreed for `point` where the role has not `permission`."""
    if caller.may(permission) or caller.session is None or not is_id(point):
        return caller
    given = await door.identity.users.agreed(caller.user, str(point))
    return replace(caller, permissions=caller.permissions | given)


async def point_of(request: Request) -> str | None:
    """Code of the point that a request is about: of its path, or of its body where the path names none."""
    # Where the path names a part of a point, the point stands beside the code.
    named: str | None = request.path_params.get("point") or request.path_params.get("code")
    return named or await _point_of_body(request)


async def _point_of_body(request: Request) -> str | None:
    try:
        # Parsed once, and kept by the request: the route's body is made of the same.
        said = await request.json()
    except (ValueError, RecursionError):
        return None
    return said.get("point") if isinstance(said, dict) else None


def with_schemes(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, in which one of two ways in is said as these two, as OpenAPI says it."""
    schemes = (_bearer, _api_key)
    ways: list[dict[str, list[str]]] = [{each.scheme_name: []} for each in schemes]
    for operations in document["paths"].values():
        for operation in operations.values():
            if operation.get("security") == [{_Known.scheme_name: []}]:
                operation["security"] = ways
    document["components"]["securitySchemes"] = {
        each.scheme_name: each.model.model_dump(mode="json", by_alias=True, exclude_none=True) for each in schemes
    }
    return document


AnyUser = Annotated[Caller, Depends(_Users())]
"""Any user who has logged in."""
AnyCaller = Annotated[Caller, Depends(_Known())]
"""Any user who has logged in, or a program with an API key."""
CatalogReader = Annotated[Caller, Depends(WhoMay(Permission.POINTS_READ))]
CatalogEditor = Annotated[Caller, Depends(WhoMay(Permission.POINTS_WRITE))]
PointFinder = Annotated[Caller, Depends(WhoMayWhereAgreed(Permission.POINTS_READ))]
PointReader = Annotated[Caller, Depends(WhoMayThere(Permission.POINTS_READ))]
PointEditor = Annotated[Caller, Depends(WhoMayThere(Permission.POINTS_WRITE))]
ProviderReader = Annotated[Caller, Depends(WhoMay(Permission.PROVIDERS_READ))]
ProviderAdmin = Annotated[Caller, Depends(WhoMay(Permission.PROVIDERS_WRITE))]
TelemetryReader = Annotated[Caller, Depends(WhoMay(Permission.TELEMETRY_READ))]
TelemetryOperator = Annotated[Caller, Depends(WhoMay(Permission.TELEMETRY_WRITE))]
SeriesReader = Annotated[Caller, Depends(WhoMayAskThere(Permission.TELEMETRY_READ))]
ReadingFinder = Annotated[Caller, Depends(WhoMayWhereAgreed(Permission.TELEMETRY_READ))]
PointFolder = Annotated[Caller, Depends(WhoMayThere(Permission.TELEMETRY_WRITE))]
WindowRunner = Annotated[Caller, Depends(WhoMay(Permission.WINDOWS_RUN))]
Importer = Annotated[Caller, Depends(WhoMay(Permission.IMPORTS_WRITE))]
SchemaReader = Annotated[Caller, Depends(WhoMay(Permission.SCHEMAS_READ))]
SchemaEditor = Annotated[Caller, Depends(WhoMay(Permission.SCHEMAS_WRITE))]
ClientReader = Annotated[Caller, Depends(WhoMay(Permission.CLIENTS_READ))]
ClientEditor = Annotated[Caller, Depends(WhoMay(Permission.CLIENTS_WRITE))]
UserReader = Annotated[Caller, Depends(WhoMay(Permission.USERS_READ))]
UserEditor = Annotated[Caller, Depends(WhoMay(Permission.USERS_WRITE))]
PreferenceReader = Annotated[Caller, Depends(OrOneself(Permission.USERS_READ))]
PreferenceEditor = Annotated[Caller, Depends(OrOneself(Permission.USERS_WRITE))]
RoleReader = Annotated[Caller, Depends(WhoMay(Permission.ROLES_READ))]
RoleEditor = Annotated[Caller, Depends(WhoMay(Permission.ROLES_WRITE))]
KeyReader = Annotated[Caller, Depends(WhoMay(Permission.KEYS_READ))]
KeyEditor = Annotated[Caller, Depends(WhoMay(Permission.KEYS_WRITE))]
AuditReader = Annotated[Caller, Depends(WhoMay(Permission.AUDIT_READ))]
QueueReader = Annotated[Caller, Depends(WhoMay(Permission.QUEUES_READ))]


async def pushing(request: Request, door: TheDoor, key: KeyHeader) -> ApiKey:
    """The holder of a key that may push.

    Raises:
        Unauthorized: there is no key, or it does not work.
        Forbidden: it is for other things.
        TooManyRequests: the key, or an address without one, has asked as often as it may.
    """
    async with paid_by_address(request, door):
        secret = _secret_of(request, key)
        if not secret:
            raise Unauthorized("send the provider's or the device's key as `X-API-Key`")
        holder = await key_holder(door.identity, secret)
    await door.rates.count("caller", holder.id)
    if Permission.TELEMETRY_PUSH not in holder.permissions:
        raise Forbidden(f"this API key may not do this: it needs {Permission.TELEMETRY_PUSH}")
    return holder


@asynccontextmanager
async def paid_by_address(request: Request, door: Door) -> AsyncIterator[None]:
    """Have an address pay for whoever cannot say who it is.

    Whoever can pays by itself: many devices stand behind one address, and one that sends without end stops no other.
    """
    address = network_of(origin_of(request).address)
    await door.rates.check("address", address)
    try:
        yield
    except Unauthorized:
        await door.rates.count("address", address)
        raise


def _secret_of(request: Request, key: str | None) -> str:
    """The API key of a request, in whichever of the two headers it is; empty: it has none."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    return key or (credentials.strip() if scheme.lower() == "apikey" else "")


PushingKey = Annotated[ApiKey, Depends(pushing)]
"""A key that works and may hand readings in; whose stands in it."""
