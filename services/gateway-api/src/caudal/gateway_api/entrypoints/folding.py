"""`?fold=true` and `?valid_from=…`: what a change that is about the past says of it."""

from typing import Annotated

from fastapi import Depends, Query, Request

from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.intervals import instant
from caudal.gateway_api.domain.permissions import Permission
from caudal.gateway_api.entrypoints.access import AnyCaller, agreed, point_of
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.schemas.begins import BEGINNING
from caudal.gateway_api.handlers.catalog import Since

FoldQuery = Annotated[
    bool,
    Query(
        alias="fold",
        description="Whether to fold the readings that this is about again at once, and publish what comes out"
        " differently as amended; otherwise they stay as they are, and the answer says which they are.",
    ),
]


async def _folding(caller: AnyCaller, door: TheDoor, request: Request, wanted: FoldQuery = False) -> bool:
    if not wanted:
        return False
    there = await agreed(door, caller, Permission.TELEMETRY_WRITE, await point_of(request))
    if not there.may(Permission.TELEMETRY_WRITE):
        raise Forbidden(f"your role ({caller.role}) may not do this: to fold again needs {Permission.TELEMETRY_WRITE}")
    return True


Begins = Annotated[
    str | None,
    Query(
        alias="valid_from",
        description="From when on it is so: a time, or `beginning`; left out: from now on, or since ever where nothing"
        " was measured yet.",
    ),
]


async def _since(begins: Begins = None) -> Since | None:
    if begins is None:
        return None
    return Since(None if begins == BEGINNING else instant(begins, "valid_from"))


SinceQuery = Annotated[Since | None, Depends(_since)]
"""For the signature of what is valid from some time on, and has no body to say so."""
Folding = Annotated[bool, Depends(_folding)]
"""For the signature of what can change what the past is judged by."""
