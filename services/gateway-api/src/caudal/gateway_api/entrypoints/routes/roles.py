"""Roles: what users can be, and what each of them may do."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import ROLES
from caudal.gateway_api.domain.permissions import Permission, Role
from caudal.gateway_api.entrypoints.access import AnyCaller, RoleEditor, RoleReader
from caudal.gateway_api.entrypoints.answers import answer, room, shown
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.schemas.auth import RoleAnswer, RoleBody, RolePatch, role_answer
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.handlers.roles import change_role, create_role, delete_role

roles = room("roles")


@roles.get("/api/permissions/", response_model=list[str])
async def list_permissions(_caller: AnyCaller) -> Response:
    """List every permission that a role or an API key can have."""
    return answer(sorted(Permission))


@roles.get("/api/roles/", response_model=Listed[RoleAnswer], responses=AS_FILE)
async def list_roles(
    door: TheDoor, _caller: RoleReader, asked: Annotated[Asked, Depends(asked_for(ROLES))]
) -> Response:
    """List roles."""

    async def read(listing: Listing) -> Page[RoleAnswer]:
        return (await door.identity.store.roles(listing)).mapped(role_answer)

    return await listed(asked, read)


@roles.post("/api/roles/", status_code=201, response_model=RoleAnswer)
async def add_role(door: TheDoor, caller: RoleEditor, create: Creating, body: RoleBody) -> Response:
    """Add a role; it may do no more than who adds it."""

    async def make() -> Response:
        return _shown(await create_role(door.identity, caller, body.made(door.identity.clock.now())), 201)

    return await create(make)


@roles.get("/api/roles/{code}", response_model=RoleAnswer)
async def get_role(door: TheDoor, _caller: RoleReader, code: Id) -> Response:
    """Show a role."""
    role = await door.identity.store.role(code)
    if role is None:
        raise NotFound("role", code)
    return _shown(role)


@roles.patch("/api/roles/{code}", response_model=RoleAnswer)
async def patch_role(door: TheDoor, caller: RoleEditor, code: Id, expected: IfMatch, body: RolePatch) -> Response:
    """Change what is named; whoever has the role can do that within seconds."""
    return _shown(await change_role(door.identity, caller, code, body.applied, expected))


@roles.delete("/api/roles/{code}", status_code=204)
async def remove_role(door: TheDoor, caller: RoleEditor, code: Id, expected: IfMatch) -> Response:
    """Delete a role; not while users have it."""
    await delete_role(door.identity, caller, code, expected)
    return Response(status_code=204)


def _shown(role: Role, status: int = 200) -> Response:
    return shown(role_answer(role), status, version=role)
