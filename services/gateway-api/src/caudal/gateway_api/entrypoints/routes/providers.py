"""Providers and the keys with which they push."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.common.domain.errors import NotFound
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.lists import PROVIDERS
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.entrypoints.access import ProviderAdmin, ProviderReader
from caudal.gateway_api.entrypoints.answers import answer, room, shown
from caudal.gateway_api.entrypoints.door import Door, TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.once import Creating, IfMatch
from caudal.gateway_api.entrypoints.routes.api_keys import shown_once
from caudal.gateway_api.entrypoints.schemas.auth import ApiKeyAnswer, NewApiKeyAnswer, key_answer
from caudal.gateway_api.entrypoints.schemas.catalog import told
from caudal.gateway_api.entrypoints.schemas.common import Id, Listed
from caudal.gateway_api.entrypoints.schemas.providers import (
    KeyBody,
    NewProvider,
    ProviderEntry,
    ProviderPatch,
    ShownProvider,
)
from caudal.gateway_api.handlers.catalog import change_provider, create_provider, delete_provider
from caudal.gateway_api.handlers.keys import create_provider_key, keys_of, revoke_key

providers = room("providers")


@providers.get("/api/providers/", response_model=Listed[ShownProvider], responses=AS_FILE)
async def list_providers(
    door: TheDoor, caller: ProviderReader, asked: Annotated[Asked, Depends(asked_for(PROVIDERS))]
) -> Response:
    """List providers."""

    async def read(listing: Listing) -> Page[ProviderEntry]:
        return (await door.catalog.store.providers(caller.scope, listing)).mapped(ProviderEntry.of)

    return await listed(asked, read)


@providers.post("/api/providers/", status_code=201, response_model=ShownProvider)
async def add_provider(door: TheDoor, caller: ProviderAdmin, create: Creating, body: NewProvider) -> Response:
    """Add a provider."""

    async def make() -> Response:
        made = await create_provider(door.catalog, caller, body.provider(), told(body.credentials))
        return await _shown(door, caller, made.code, 201)

    return await create(make)


@providers.get("/api/providers/{code}", response_model=ShownProvider)
async def get_provider(door: TheDoor, caller: ProviderReader, code: Id) -> Response:
    """Show a provider."""
    return await _shown(door, caller, code)


@providers.patch("/api/providers/{code}", response_model=ShownProvider)
async def patch_provider(
    door: TheDoor, caller: ProviderAdmin, code: Id, expected: IfMatch, body: ProviderPatch
) -> Response:
    """Change what is named; the rest stays."""
    await change_provider(door.catalog, caller, code, body.applied, expected, told(body.credentials))
    return await _shown(door, caller, code)


@providers.delete("/api/providers/{code}", status_code=204)
async def remove_provider(door: TheDoor, caller: ProviderAdmin, code: Id, expected: IfMatch) -> Response:
    """Delete a provider and its keys; not while points belong to it."""
    await delete_provider(door.catalog, caller, code, expected)
    return Response(status_code=204)


@providers.get("/api/providers/{code}/keys/", response_model=list[ApiKeyAnswer])
async def list_keys(door: TheDoor, caller: ProviderAdmin, code: Id) -> Response:
    """List a provider's keys that work, without their secrets."""
    return answer([key_answer(key) for key in await keys_of(door.identity, caller, code)])


@providers.post("/api/providers/{code}/keys/", status_code=201, response_model=NewApiKeyAnswer)
async def add_key(
    door: TheDoor, caller: ProviderAdmin, code: Id, create: Creating, body: KeyBody | None = None
) -> Response:
    """Make a key for a provider; this answer is the only one that shows it."""

    async def make() -> Response:
        key, secret = await create_provider_key(door.identity, caller, code, body.label if body else "")
        return shown_once(key, secret)

    return await create(make, secret="key")


@providers.delete("/api/providers/{code}/keys/{key}", status_code=204)
async def remove_key(door: TheDoor, caller: ProviderAdmin, code: Id, key: Id, expected: IfMatch) -> Response:
    """Make a key useless from now on."""
    await revoke_key(door.identity, caller, key, code, expected)
    return Response(status_code=204)


async def _shown(door: Door, caller: Caller, code: str, status: int = 200) -> Response:
    """A provider as it is now."""
    kept = await door.catalog.store.kept_provider(code, caller.scope)
    if kept is None:
        raise NotFound("provider", code)
    return shown(ProviderEntry.of(kept), status, version=kept.entry)
