"""API keys: how programs come in."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import API_KEYS
from caudal.gateway_api.entrypoints.access import KeyEditor, KeyReader
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating
from caudal.gateway_api.entrypoints.schemas.auth import (
    ApiKeyAnswer,
    ApiKeyBody,
    NewApiKeyAnswer,
    key_answer,
    new_key_answer,
)
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.handlers.keys import create_key, revoke_key

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
        return answer(new_key_answer(key, secret), 201, headers={"Cache-Control": "no-store"})

    return await create(make, secret="key")


@api_keys.delete("/api/api-keys/{key}", status_code=204)
async def remove_api_key(door: TheDoor, caller: KeyEditor, key: Id) -> Response:
    """Make a key useless from now on."""
    await revoke_key(door.identity, caller, key)
    return Response(status_code=204)
