"""Logging in, and the public keys with which tokens are checked."""

from typing import Any

from fastapi import Request, Response

from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.entrypoints.access import AnyCaller
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.schemas.auth import LoginAnswer, LoginBody, UserAnswer
from caudal.gateway_api.entrypoints.schemas.common import Problem
from caudal.gateway_api.handlers.identity import log_in

auth = room("auth")


@auth.post(
    "/api/auth/login",
    response_model=LoginAnswer,
    responses={429: {"model": Problem, "description": "Too many failed logins; see Retry-After"}},
)
async def login(door: TheDoor, request: Request, body: LoginBody) -> Response:
    """Give a token for an email and a password."""
    address = request.client.host if request.client else "unknown"
    came_in = await log_in(door.identity, body.email, body.password, address)
    said = LoginAnswer(came_in.token, "Bearer", came_in.expires_at, _shown(came_in.caller))
    return answer(said, headers={"Cache-Control": "no-store"})


@auth.get("/api/auth/me", response_model=UserAnswer)
async def me(caller: AnyCaller) -> Response:
    """Tell who the token is for."""
    return answer(_shown(caller))


@auth.get("/.well-known/jwks.json")
async def key_set(door: TheDoor) -> dict[str, Any]:
    """The public keys that sign tokens, as a JSON Web Key Set."""
    return door.identity.tokens.key_set()


def _shown(caller: Caller) -> UserAnswer:
    return UserAnswer(caller.user, caller.email, caller.role, caller.client, sorted(caller.permissions))
