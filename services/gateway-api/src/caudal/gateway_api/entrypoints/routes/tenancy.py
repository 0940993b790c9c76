"""Clients, users, owners of points, and what users want to be told."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Response

from caudal.gateway_api.domain.records import CLIENTS, OWNERS, PREFERENCES, USERS
from caudal.gateway_api.domain.tenancy import Account, Client, ListedOwner, Owner, Preference
from caudal.gateway_api.entrypoints.access import (
    ClientEditor,
    ClientReader,
    PreferenceEditor,
    PreferenceReader,
    UserEditor,
    UserReader,
)
from caudal.gateway_api.entrypoints.answers import room, shown
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.rooms import Room
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
from caudal.gateway_api.handlers.records import create
from caudal.gateway_api.handlers.tenancy import account_rule, client_rule, owner_page, owner_rule, preference_rule

clients = room("clients")
users = room("users")

_clients = Room(CLIENTS, ClientBody, lambda _door: client_rule)
_owners = Room(OWNERS, OwnerBody, lambda _door: owner_rule)
_preferences = Room(PREFERENCES, PreferenceBody, lambda _door: preference_rule)
_users = Room(USERS, UserBody, lambda _door: account_rule)

AskedClients = Annotated[Asked, Depends(asked_for(CLIENTS.shape))]
AskedOwners = Annotated[Asked, Depends(asked_for(OWNERS.shape))]
AskedPreferences = Annotated[Asked, Depends(asked_for(PREFERENCES.shape))]
AskedUsers = Annotated[Asked, Depends(asked_for(USERS.shape))]

# ---------------------------------------------------------------- clients


@clients.get("/api/clients/", response_model=Listed[Client], responses=AS_FILE)
async def list_clients(door: TheDoor, caller: ClientReader, asked: AskedClients) -> Response:
    """List clients; somebody of a client sees that one."""
    return await _clients.listed(door, caller, asked)


@clients.post("/api/clients/", status_code=201, response_model=Client)
async def add_client(door: TheDoor, caller: ClientEditor, creating: Creating, body: ClientBody) -> Response:
    """Add a client."""
    return await _clients.added(door, caller, creating, partial(body.made, door.records.clock.now()))


@clients.get("/api/clients/{code}", response_model=Client)
async def get_client(door: TheDoor, caller: ClientReader, code: Id) -> Response:
    """Show a client."""
    return await _clients.one(door, caller, code)


@clients.patch("/api/clients/{code}", response_model=Client)
async def patch_client(door: TheDoor, caller: ClientEditor, code: Id, expected: IfMatch, body: ClientPatch) -> Response:
    """Change what is named; the rest stays. Nobody of a client that is not active comes in."""
    return await _clients.changed(door, caller, code, expected, body)


@clients.delete("/api/clients/{code}", status_code=204)
async def remove_client(door: TheDoor, caller: ClientEditor, code: Id, expected: IfMatch) -> Response:
    """Delete a client; not while users, points, providers, schemas or keys belong to it."""
    return await _clients.removed(door, caller, code, expected)


# ---------------------------------------------------------------- owners


@users.get("/api/users/owners/", response_model=Listed[ListedOwner], responses=AS_FILE)
async def list_owners(door: TheDoor, caller: UserReader, asked: AskedOwners) -> Response:
    """List who is what to which point."""
    return await listed(asked, partial(owner_page, door.records, caller))


@users.post("/api/users/owners/", status_code=201, response_model=Owner)
async def add_owner(door: TheDoor, caller: UserEditor, creating: Creating, body: OwnerBody) -> Response:
    """Say what a user is to a point; of its own client, or staff."""
    return await _owners.added(door, caller, creating, partial(body.made, door.records.clock.now()))


@users.get("/api/users/owners/{owner}", response_model=Owner)
async def get_owner(door: TheDoor, caller: UserReader, owner: Id) -> Response:
    """Show what a user is to a point."""
    return await _owners.one(door, caller, owner)


@users.patch("/api/users/owners/{owner}", response_model=Owner)
async def patch_owner(door: TheDoor, caller: UserEditor, owner: Id, expected: IfMatch, body: OwnerPatch) -> Response:
    """Change what was agreed with an owner."""
    return await _owners.changed(door, caller, owner, expected, body)


@users.delete("/api/users/owners/{owner}", status_code=204)
async def remove_owner(door: TheDoor, caller: UserEditor, owner: Id, expected: IfMatch) -> Response:
    """Say that a user is no longer this to a point."""
    return await _owners.removed(door, caller, owner, expected)


# ---------------------------------------------------------------- notification preferences


@users.get("/api/users/notifications/", response_model=Listed[Preference], responses=AS_FILE)
async def list_preferences(door: TheDoor, caller: PreferenceReader, asked: AskedPreferences) -> Response:
    """List who wants to be told what, and how; without `users:read`, what you want."""
    return await _preferences.listed(door, caller, asked)


@users.post("/api/users/notifications/", status_code=201, response_model=Preference)
async def add_preference(door: TheDoor, caller: PreferenceEditor, creating: Creating, body: PreferenceBody) -> Response:
    """Say what a user wants to be told, about one point or about all of its client's; without `users:write`, you."""
    return await _preferences.added(door, caller, creating, partial(body.made, door.records.clock.now(), caller.user))


@users.get("/api/users/notifications/{preference}", response_model=Preference)
async def get_preference(door: TheDoor, caller: PreferenceReader, preference: Id) -> Response:
    """Show what a user wants to be told."""
    return await _preferences.one(door, caller, preference)


@users.patch("/api/users/notifications/{preference}", response_model=Preference)
async def patch_preference(
    door: TheDoor, caller: PreferenceEditor, preference: Id, expected: IfMatch, body: PreferencePatch
) -> Response:
    """Change what is named; the rest stays."""
    return await _preferences.changed(door, caller, preference, expected, body)


@users.delete("/api/users/notifications/{preference}", status_code=204)
async def remove_preference(door: TheDoor, caller: PreferenceEditor, preference: Id, expected: IfMatch) -> Response:
    """Forget what a user wanted to be told."""
    return await _preferences.removed(door, caller, preference, expected)


# ---------------------------------------------------------------- users


@users.get("/api/users/", response_model=Listed[Account], responses=AS_FILE)
async def list_users(door: TheDoor, caller: UserReader, asked: AskedUsers) -> Response:
    """List users."""
    return await _users.listed(door, caller, asked)


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
    return await _users.one(door, caller, user)


@users.patch("/api/users/{user}", response_model=Account)
async def patch_user(door: TheDoor, caller: UserEditor, user: Id, expected: IfMatch, body: UserPatch) -> Response:
    """Change what is named; the rest stays. Who is not active is outside within seconds."""
    return await _users.changed(door, caller, user, expected, body)


@users.delete("/api/users/{user}", status_code=204)
async def remove_user(door: TheDoor, caller: UserEditor, user: Id, expected: IfMatch) -> Response:
    """Delete a user with what it owns and wants to be told; not the last administrator."""
    return await _users.removed(door, caller, user, expected)
