"""API keys: how programs come in."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import API_KEYS
from caudal.gateway_api.domain.permissions import ApiKey
from caudal.gateway_api.entrypoints.access import KeyEditor, KeyReader
from caudal.gateway_api.entrypoints.answers import room, shown
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.schemas.auth import (
    ApiKeyAnswer,
    ApiKeyBody,
    ApiKeyPatch,
    NewApiKeyAnswer,
    key_answer,
    new_key_answer,
)
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.handlers.keys import change_key, create_key, one_key, revoke_key

api_keys = room("api keys")


@api_keys.get("/api/api-keys/", response_model=Listed[ApiKeyAnswer], responses=AS_FILE)
async def list_api_keys(
    door: TheDoor, caller: KeyReader, asked: Annotated[Asked, Depends(asked_for(API_KEYS))]
) -> Response:
    """List keys that were not revoked, without their secrets."""

    async def read(listing: Listing) -> Page[ApiKeyAnswer]:
        return (await door.identity.keys.listed(listing, caller.scope)).mapped(key_answer)

    return await listed(asked, read)


@api_keys.post("/api/api-keys/", status_code=201, response_model=NewApiKeyAnswer)
async def add_api_key(door: TheDoor, caller: KeyEditor, create: Creating, body: ApiKeyBody) -> Response:
    """Make a key, which may do no more than who makes it; this answer is the only one that shows it."""

    async def make() -> Response:
        key, secret = await create_key(
            door.identity,
            caller,
            body.label,
            body.permissions,
            provider=body.provider,
            device=body.device,
            client=body.client or caller.client,
            expires_at=body.expires_at,
        )
        return shown_once(key, secret)

    return await create(make, secret="key")


@api_keys.get("/api/api-keys/{key}", response_model=ApiKeyAnswer)
async def get_api_key(door: TheDoor, caller: KeyReader, key: Id) -> Response:
    """Show a key, without its secret."""
    return _shown(await one_key(door.identity, caller, key))


@api_keys.patch("/api/api-keys/{key}", response_model=ApiKeyAnswer)
async def patch_api_key(door: TheDoor, caller: KeyEditor, key: Id, expected: IfMatch, body: ApiKeyPatch) -> Response:
    """Give a key another name or another end, or let it do less; for more, make another one."""
    return _shown(await change_key(door.identity, caller, key, body.applied, expected))


@api_keys.delete("/api/api-keys/{key}", status_code=204)
async def remove_api_key(door: TheDoor, caller: KeyEditor, key: Id, expected: IfMatch) -> Response:
    """Make a key useless from now on."""
    await revoke_key(door.identity, caller, key, expected=expected)
    return Response(status_code=204)


def shown_once(key: ApiKey, secret: str) -> Response:
    """A key that was just made, with its secret: nobody on the way keeps it."""
    made = shown(new_key_answer(key, secret), 201, version=key.but_for_its_use)
    made.headers["Cache-Control"] = "no-store"
    return made


def _shown(key: ApiKey) -> Response:
    return shown(key_answer(key), version=key.but_for_its_use)
