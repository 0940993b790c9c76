"""Clients, users, owners of points, and what users want to be told."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Response

from caudal.gateway_api.domain.records import CLIENTS, OWNERS, PREFERENCES, USERS
from caudal.gateway_api.domain.tenancy import Account, Client, Owner, Preference
from caudal.gateway_api.entrypoints.access import ClientEditor, ClientReader, UserEditor, UserReader
from caudal.gateway_api.entrypoints.answers import room, shown
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.entrypoints.schemas.tenancy import (
    ClientBody,
    ClientPatch,
    OwnerBody,
    OwnerPatch,
    PreferenceBody,
    PreferencePatch,
    UserBody,
    UserPatch,
)
from caudal.gateway_api.handlers.records import change, create, delete, one
from caudal.gateway_api.handlers.tenancy import account_rule, client_rule, owner_rule, preference_rule

clients = room("clients")
users = room("users")

# ---------------------------------------------------------------- clients


@clients.get("/api/clients/", response_model=Listed[Client], responses=AS_FILE)
async def list_clients(
    door: TheDoor, caller: ClientReader, asked: Annotated[Asked, Depends(asked_for(CLIENTS.shape))]
) -> Response:
    """List clients; somebody of a client sees that one."""
    return await listed(asked, partial(door.records.records.page, CLIENTS, caller.scope))


@clients.post("/api/clients/", status_code=201, response_model=Client)
async def add_client(door: TheDoor, caller: ClientEditor, creating: Creating, body: ClientBody) -> Response:
    """Add a client."""

    async def make() -> Response:
        client = body.made(door.records.clock.now())
        return shown(await create(door.records, caller, CLIENTS, client, client_rule), 201)

    return await creating(make)


@clients.get("/api/clients/{code}", response_model=Client)
async def get_client(door: TheDoor, caller: ClientReader, code: Id) -> Response:
    """Show a client."""
    return shown(await one(door.records, caller, CLIENTS, code))


@clients.patch("/api/clients/{code}", response_model=Client)
async def patch_client(door: TheDoor, caller: ClientEditor, code: Id, expected: IfMatch, body: ClientPatch) -> Response:
    """Change what is named; the rest stays. Nobody of a client that is not active comes in."""
    changed = partial(body.applied, whole=ClientBody, now=door.records.clock.now())
    return shown(await change(door.records, caller, CLIENTS, code, changed, client_rule, expected))


@clients.delete("/api/clients/{code}", status_code=204)
async def remove_client(door: TheDoor, caller: ClientEditor, code: Id, expected: IfMatch) -> Response:
    """Delete a client; not while users, points, providers or keys belong to it."""
    await delete(door.records, caller, CLIENTS, code, client_rule, expected)
    return Response(status_code=204)


# ---------------------------------------------------------------- owners


@users.get("/api/users/owners/", response_model=Listed[Owner], responses=AS_FILE)
async def list_owners(
    door: TheDoor, caller: UserReader, asked: Annotated[Asked, Depends(asked_for(OWNERS.shape))]
) -> Response:
    """List who is what to which point."""
    return await listed(asked, partial(door.records.records.page, OWNERS, caller.scope))


@users.post("/api/users/owners/", status_code=201, response_model=Owner)
async def add_owner(door: TheDoor, caller: UserEditor, creating: Creating, body: OwnerBody) -> Response:
    """Say what a user is to a point; of its own client, or staff."""

    async def make() -> Response:
        owner = body.made(door.records.clock.now())
        return shown(await create(door.records, caller, OWNERS, owner, owner_rule), 201)

    return await creating(make)


@users.get("/api/users/owners/{owner}", response_model=Owner)
async def get_owner(door: TheDoor, caller: UserReader, owner: Id) -> Response:
    """Show what a user is to a point."""
    return shown(await one(door.records, caller, OWNERS, owner))


@users.patch("/api/users/owners/{owner}", response_model=Owner)
async def patch_owner(door: TheDoor, caller: UserEditor, owner: Id, expected: IfMatch, body: OwnerPatch) -> Response:
    """Change what was agreed with an owner."""
    changed = partial(body.applied, whole=OwnerBody, now=door.records.clock.now())
    return shown(await change(door.records, caller, OWNERS, owner, changed, owner_rule, expected))


@users.delete("/api/users/owners/{owner}", status_code=204)
async def remove_owner(door: TheDoor, caller: UserEditor, owner: Id, expected: IfMatch) -> Response:
    """Say that a user is no longer this to a point."""
    await delete(door.records, caller, OWNERS, owner, owner_rule, expected)
    return Response(status_code=204)


# ---------------------------------------------------------------- notification preferences


@users.get("/api/users/notifications/", response_model=Listed[Preference], responses=AS_FILE)
async def list_preferences(
    door: TheDoor, caller: UserReader, asked: Annotated[Asked, Depends(asked_for(PREFERENCES.shape))]
) -> Response:
    """List who wants to be told what, and how."""
    return await listed(asked, partial(door.records.records.page, PREFERENCES, caller.scope))


@users.post("/api/users/notifications/", status_code=201, response_model=Preference)
async def add_preference(door: TheDoor, caller: UserEditor, creating: Creating, body: PreferenceBody) -> Response:
    """Say what a user wants to be told, about one point or about all of its client's."""

    async def make() -> Response:
        preference = body.made(door.records.clock.now())
        return shown(await create(door.records, caller, PREFERENCES, preference, preference_rule), 201)

    return await creating(make)


@users.get("/api/users/notifications/{preference}", response_model=Preference)
async def get_preference(door: TheDoor, caller: UserReader, preference: Id) -> Response:
    """Show what a user wants to be told."""
    return shown(await one(door.records, caller, PREFERENCES, preference))


@users.patch("/api/users/notifications/{preference}", response_model=Preference)
async def patch_preference(
    door: TheDoor, caller: UserEditor, preference: Id, expected: IfMatch, body: PreferencePatch
) -> Response:
    """Change what is named; the rest stays."""
    changed = partial(body.applied, whole=PreferenceBody, now=door.records.clock.now())
    return shown(await change(door.records, caller, PREFERENCES, preference, changed, preference_rule, expected))


@users.delete("/api/users/notifications/{preference}", status_code=204)
async def remove_preference(door: TheDoor, caller: UserEditor, preference: Id, expected: IfMatch) -> Response:
    """Forget what a user wanted to be told."""
    await delete(door.records, caller, PREFERENCES, preference, preference_rule, expected)
    return Response(status_code=204)


# ---------------------------------------------------------------- users


@users.get("/api/users/", response_model=Listed[Account], responses=AS_FILE)
async def list_users(
    door: TheDoor, caller: UserReader, asked: Annotated[Asked, Depends(asked_for(USERS.shape))]
) -> Response:
    """List users."""
    return await listed(asked, partial(door.records.records.page, USERS, caller.scope))


@users.post("/api/users/", status_code=201, response_model=Account)
async def add_user(door: TheDoor, caller: UserEditor, creating: Creating, body: UserBody) -> Response:
    """Add a user, with a role whose permissions you have; without a password until one is set."""

    async def make() -> Response:
        account = body.made(door.records.clock.now(), caller.client)
        given = body.password_for(account)
        hidden = {"password_hash": await door.records.passwords.hashed(given) if given is not None else ""}
        return shown(await create(door.records, caller, USERS, account, account_rule, **hidden), 201)

    return await creating(make)


@users.get("/api/users/{user}", response_model=Account)
async def get_user(door: TheDoor, caller: UserReader, user: Id) -> Response:
    """Show a user."""
    return shown(await one(door.records, caller, USERS, user))


@users.patch("/api/users/{user}", response_model=Account)
async def patch_user(door: TheDoor, caller: UserEditor, user: Id, expected: IfMatch, body: UserPatch) -> Response:
    """Change what is named; the rest stays. Who is not active is outside within seconds."""
    changed = partial(body.applied, whole=UserBody, now=door.records.clock.now())
    return shown(await change(door.records, caller, USERS, user, changed, account_rule, expected))


@users.delete("/api/users/{user}", status_code=204)
async def remove_user(door: TheDoor, caller: UserEditor, user: Id, expected: IfMatch) -> Response:
    """Delete a user with what it owns and wants to be told; not the last administrator."""
    await delete(door.records, caller, USERS, user, account_rule, expected)
    return Response(status_code=204)
