"""Logging in and out, passwords, and the public keys with which tokens are checked."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from caudal.gateway_api.domain.lists import RESETS
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.sessions import PendingReset
from caudal.gateway_api.entrypoints.access import AnyUser, UserEditor, origin_of
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating
from caudal.gateway_api.entrypoints.schemas.auth import (
    LoginAnswer,
    LoginBody,
    LogoutBody,
    PasswordBody,
    RefreshBody,
    Requested,
    ResetAnswer,
    ResetBody,
    ResetRequestBody,
    UserAnswer,
)
from caudal.gateway_api.entrypoints.schemas.common import Listed
from caudal.gateway_api.handlers.identity import LoggedIn, log_in, log_out, refresh
from caudal.gateway_api.handlers.passwords import change_password, issue_reset, request_reset, use_reset

auth = room("auth")

UNCACHED = {"Cache-Control": "no-store"}


@auth.post("/api/auth/login", response_model=LoginAnswer)
async def login(door: TheDoor, request: Request, body: LoginBody) -> Response:
    """Give a token for an email and a password, and a refresh token to go on with."""
    agent = request.headers.get("user-agent", "")
    return _came_in(door, await log_in(door.identity, body.email, body.password, origin_of(request), agent))


@auth.post("/api/auth/refresh", response_model=LoginAnswer)
async def renew(door: TheDoor, request: Request, body: RefreshBody) -> Response:
    """Give new tokens for a refresh token, which is used up by it."""
    return _came_in(door, await refresh(door.identity, body.refresh_token, origin_of(request)))


@auth.post("/api/auth/logout", status_code=204)
async def logout(door: TheDoor, caller: AnyUser, body: LogoutBody | None = None) -> Response:
    """End this session, or all of the user's; their tokens are worth nothing within seconds."""
    await log_out(door.identity, caller, everywhere=body is not None and body.all)
    return Response(status_code=204)


@auth.get("/api/auth/me", response_model=UserAnswer)
async def me(caller: AnyUser) -> Response:
    """Tell who the token is for, and what they may do."""
    return answer(_shown(caller))


@auth.post("/api/auth/password", status_code=204)
async def set_password(door: TheDoor, caller: AnyUser, body: PasswordBody) -> Response:
    """Change one's password; one's other sessions end."""
    await change_password(door.identity, caller, body.current_password, body.new_password)
    return Response(status_code=204)


@auth.post("/api/auth/password/reset-request", status_code=202, response_model=Requested)
async def ask_for_reset(door: TheDoor, request: Request, body: ResetRequestBody) -> Response:
    """Ask for a new password; the answer is the same for users and for strangers."""
    await request_reset(door.identity, body.email, origin_of(request))
    return answer(Requested(True), 202)


@auth.post("/api/auth/password/reset", status_code=204)
async def reset_password(door: TheDoor, request: Request, body: ResetBody) -> Response:
    """Set a new password with a token, which works once; all of the user's sessions end."""
    await use_reset(door.identity, body.token, body.password, origin_of(request))
    return Response(status_code=204)


@auth.get("/api/auth/password/resets/", response_model=Listed[PendingReset], responses=AS_FILE)
async def list_resets(
    door: TheDoor, caller: UserEditor, asked: Annotated[Asked, Depends(asked_for(RESETS))]
) -> Response:
    """List those who asked for a new password and have not set one yet."""
    now = door.identity.clock.now()
    return await listed(asked, lambda listing: door.identity.store.pending_resets(listing, caller.scope, now))


@auth.post("/api/auth/password/resets/", status_code=201, response_model=ResetAnswer)
async def add_reset(door: TheDoor, caller: UserEditor, create: Creating, body: ResetRequestBody) -> Response:
    """Issue a token with which a user sets a new password; this answer is the only one that shows it."""

    async def make() -> Response:
        issued = await issue_reset(door.identity, caller, body.email)
        return answer(ResetAnswer(**asdict(issued)), 201, headers=UNCACHED)

    return await create(make, secret="token")


@auth.get("/.well-known/jwks.json")
async def key_set(door: TheDoor) -> dict[str, Any]:
    """The public keys that sign tokens, and those that signed ones still good, as a JSON Web Key Set."""
    return door.identity.tokens.key_set()


def _came_in(door: Door, came_in: LoggedIn) -> Response:
    said = LoginAnswer(
        token=came_in.token,
        token_type="Bearer",
        expires_at=came_in.expires_at,
        expires_in=round((came_in.expires_at - door.identity.clock.now()).total_seconds()),
        refresh_token=came_in.refresh_token,
        refresh_expires_at=came_in.refresh_expires_at,
        user=_shown(came_in.caller),
    )
    return answer(said, headers=UNCACHED)


def _shown(caller: Caller) -> UserAnswer:
    return UserAnswer(caller.user, caller.email, caller.role, caller.client, sorted(caller.permissions))
