"""How asking providers goes: status, credentials by name, presets, trying one, and asking one now."""

from datetime import datetime
from typing import Any

from fastapi import Response

from caudal.common.domain.provider_presets import PROVIDER_PRESETS
from caudal.gateway_api.domain.polling import PointSourceStatus, ProviderStatus
from caudal.gateway_api.entrypoints.access import PointReader, ProviderAdmin, ProviderReader
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.once import Creating
from caudal.gateway_api.entrypoints.schemas.asking import PollAnswer, Preset, TrialAnswer, TrialBody
from caudal.gateway_api.entrypoints.schemas.common import Id
from caudal.gateway_api.handlers.asking import (
    point_credentials,
    point_status,
    poll_provider,
    provider_credentials,
    provider_status,
    try_provider,
)
from caudal.gateway_api.handlers.orders import done_or_under_way

asking = room("providers")


@asking.get("/api/provider-presets/", response_model=dict[str, Preset])
async def list_presets(_caller: ProviderReader) -> Response:
    """Show how the providers are asked that are known by name: what a provider's entry begins with."""
    return answer(PROVIDER_PRESETS)


@asking.get("/api/providers/{code}/status", response_model=ProviderStatus)
async def show_provider_status(door: TheDoor, caller: ProviderReader, code: Id) -> Response:
    """Show when a provider last answered, why it failed last, and how far behind it is."""
    return answer(await provider_status(door.asking, caller, code))


@asking.get("/api/points/{code}/status", response_model=PointSourceStatus)
async def show_point_status(door: TheDoor, caller: PointReader, code: Id) -> Response:
    """Show how asking for a point goes: until when it is complete, and why it failed last."""
    return answer(await point_status(door.asking, caller, code))


@asking.get("/api/providers/{code}/credentials/", response_model=dict[str, datetime])
async def list_provider_credentials(door: TheDoor, caller: ProviderAdmin, code: Id) -> Response:
    """Show which secrets of a provider are set and since when; nothing shows the secrets themselves."""
    return answer(await provider_credentials(door.asking, caller, code))


@asking.get("/api/points/{code}/credentials/", response_model=dict[str, datetime])
async def list_point_credentials(door: TheDoor, caller: ProviderAdmin, code: Id) -> Response:
    """Show which secrets of a point are set and since when; nothing shows the secrets themselves."""
    return answer(await point_credentials(door.asking, caller, code))


@asking.post(
    "/api/providers/{code}/test",
    response_model=TrialAnswer,
    responses={202: {"model": TrialAnswer, "description": "It has not answered yet"}},
)
async def try_out_provider(
    door: TheDoor, caller: ProviderAdmin, create: Creating, code: Id, body: TrialBody | None = None
) -> Response:
    """Ask a provider for a point's latest values, or listen to it; shows what comes and is read, hands nothing on."""
    params: dict[str, Any] = body.model_dump(exclude_none=True) if body else {}

    async def make() -> Response:
        order = done_or_under_way(await try_provider(door.asking, caller, code, params))
        if order.finished_at is None:
            return answer({"order": order.id, "outcome": "under_way"}, 202)
        return answer({"order": order.id, **order.detail})

    return await create(make)


@asking.post("/api/providers/{code}/poll", status_code=202, response_model=PollAnswer)
async def poll_provider_now(door: TheDoor, caller: ProviderAdmin, create: Creating, code: Id) -> Response:
    """Have a provider asked for all its points now, due or not; its status and theirs show how it goes."""

    async def make() -> Response:
        order = done_or_under_way(await poll_provider(door.asking, caller, code))
        return answer({"order": order.id, "outcome": order.detail.get("outcome", "under_way")}, 202)

    return await create(make)
