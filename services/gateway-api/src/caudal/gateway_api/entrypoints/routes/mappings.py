"""Mappings: the presets that there are, and trying one."""

import asyncio
from typing import Any

from fastapi import Response

from caudal.common.domain.payloads.presets import PRESETS
from caudal.gateway_api.entrypoints.access import CatalogEditor, CatalogReader
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.once import Creating
from caudal.gateway_api.entrypoints.schemas.mappings import MappingTrialAnswer, MappingTrialBody, trial_answer
from caudal.gateway_api.handlers.mappings import try_mapping

mappings = room("providers")


@mappings.get("/api/mapping-presets/", response_model=dict[str, dict[str, Any]])
async def list_mapping_presets(_caller: CatalogReader) -> Response:
    """Show the mappings that are known by name, as one would write them."""
    return answer(PRESETS)


@mappings.post("/api/mappings/try", response_model=MappingTrialAnswer)
async def try_out_mapping(door: TheDoor, _caller: CatalogEditor, create: Creating, body: MappingTrialBody) -> Response:
    """Show what a mapping makes of a payload: readings, and the reasons why parts of it are none. Nothing is kept."""
    now = body.received_at or door.catalog.clock.now()

    async def make() -> Response:
        # It may take a second of a processor; others are answered meanwhile.
        trial = await asyncio.to_thread(try_mapping, body.mapping, body.time_zone, body.payload, now)
        return answer(trial_answer(trial))

    return await create(make)
