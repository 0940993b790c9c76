"""Who may come in, as types for the signatures of routes."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from caudal.gateway_api.domain.errors import Forbidden, Unauthorized
from caudal.gateway_api.domain.permissions import ApiKey, Caller, Origin, Permission
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


def origin_of(request: Request) -> Origin:
    """Where a request comes from; behind a proxy that we trust, from before it."""
    return Origin(request.client.host if request.client else None, None)


async def _anybody_known(door: TheDoor, request: Request, bearer: BearerToken) -> Caller:
    if bearer is None:
        raise Unauthorized("log in and send `Authorization: Bearer <token>`")
    return await caller_of(door.identity, bearer.credentials, origin_of(request))


class WhoMay:
    """Lets callers with one permission in; a test can read from a route which one that is."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, caller: Annotated[Caller, Depends(_anybody_known)]) -> Caller:
        """The caller, who has the permission."""
        if not caller.may(self.permission):
            raise Forbidden(f"your role ({caller.role}) may not do this: it needs {self.permission}")
        return caller


AnyCaller = Annotated[Caller, Depends(_anybody_known)]
"""Any user with a valid token."""
CatalogReader = Annotated[Caller, Depends(WhoMay(Permission.POINTS_READ))]
CatalogEditor = Annotated[Caller, Depends(WhoMay(Permission.POINTS_WRITE))]
ProviderReader = Annotated[Caller, Depends(WhoMay(Permission.PROVIDERS_READ))]
ProviderAdmin = Annotated[Caller, Depends(WhoMay(Permission.PROVIDERS_WRITE))]
TelemetryReader = Annotated[Caller, Depends(WhoMay(Permission.TELEMETRY_READ))]
TelemetryOperator = Annotated[Caller, Depends(WhoMay(Permission.TELEMETRY_WRITE))]
WindowRunner = Annotated[Caller, Depends(WhoMay(Permission.WINDOWS_RUN))]
Importer = Annotated[Caller, Depends(WhoMay(Permission.IMPORTS_WRITE))]
SchemaReader = Annotated[Caller, Depends(WhoMay(Permission.SCHEMAS_READ))]
SchemaEditor = Annotated[Caller, Depends(WhoMay(Permission.SCHEMAS_WRITE))]
ClientReader = Annotated[Caller, Depends(WhoMay(Permission.CLIENTS_READ))]
ClientEditor = Annotated[Caller, Depends(WhoMay(Permission.CLIENTS_WRITE))]
UserReader = Annotated[Caller, Depends(WhoMay(Permission.USERS_READ))]
UserEditor = Annotated[Caller, Depends(WhoMay(Permission.USERS_WRITE))]
RoleReader = Annotated[Caller, Depends(WhoMay(Permission.ROLES_READ))]
RoleEditor = Annotated[Caller, Depends(WhoMay(Permission.ROLES_WRITE))]
KeyReader = Annotated[Caller, Depends(WhoMay(Permission.KEYS_READ))]
KeyEditor = Annotated[Caller, Depends(WhoMay(Permission.KEYS_WRITE))]
AuditReader = Annotated[Caller, Depends(WhoMay(Permission.AUDIT_READ))]


async def _pushing(request: Request, door: TheDoor, key: KeyHeader) -> ApiKey:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    secret = key or (credentials.strip() if scheme.lower() == "apikey" else "")
    if not secret:
        raise Unauthorized("send the provider's key as `X-API-Key`")
    return await key_holder(door.identity, secret)


PushingProvider = Annotated[ApiKey, Depends(_pushing)]
"""A provider with a key that works; whose it is stands in it."""
