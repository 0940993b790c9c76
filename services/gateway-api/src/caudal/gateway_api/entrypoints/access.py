"""Who may come in, as types for the signatures of routes."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from caudal.gateway_api.domain.errors import Forbidden, Unauthorized
from caudal.gateway_api.domain.permissions import ApiKey, Caller, Permission
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.handlers.identity import caller_of, key_holder

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="What `POST /api/auth/login` gave.")
_api_key = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    scheme_name="api_key",
    description="A provider's key; `Authorization: ApiKey …` is read too.",
)

BearerToken = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
KeyHeader = Annotated[str | None, Security(_api_key)]


async def _anybody_known(door: TheDoor, bearer: BearerToken) -> Caller:
    if bearer is None:
        raise Unauthorized("log in and send `Authorization: Bearer <token>`")
    return await caller_of(door.identity, bearer.credentials)


def _who_may(permission: Permission) -> Callable[..., Awaitable[Caller]]:
    async def check(caller: Annotated[Caller, Depends(_anybody_known)]) -> Caller:
        if not caller.may(permission):
            raise Forbidden(f"your role ({caller.user.role}) may not do this: it needs {permission}")
        return caller

    return check


AnyCaller = Annotated[Caller, Depends(_anybody_known)]
"""Any user with a valid token."""
CatalogReader = Annotated[Caller, Depends(_who_may(Permission.CATALOG_READ))]
CatalogEditor = Annotated[Caller, Depends(_who_may(Permission.CATALOG_WRITE))]
ProviderAdmin = Annotated[Caller, Depends(_who_may(Permission.PROVIDERS_MANAGE))]
TelemetryReader = Annotated[Caller, Depends(_who_may(Permission.TELEMETRY_READ))]
TelemetryOperator = Annotated[Caller, Depends(_who_may(Permission.TELEMETRY_OPERATE))]
WindowRunner = Annotated[Caller, Depends(_who_may(Permission.WINDOWS_RUN))]


async def _pushing(request: Request, door: TheDoor, key: KeyHeader) -> ApiKey:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    secret = key or (credentials.strip() if scheme.lower() == "apikey" else "")
    if not secret:
        raise Unauthorized("send the provider's key as `X-API-Key`")
    return await key_holder(door.identity, secret)


PushingProvider = Annotated[ApiKey, Depends(_pushing)]
"""A provider with a key that works; whose it is stands in it."""
