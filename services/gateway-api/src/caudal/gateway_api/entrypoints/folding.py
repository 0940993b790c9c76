"""`?fold=true`: to have the past folded again with the change that is about it."""

from typing import Annotated

from fastapi import Depends, Query

from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.permissions import Permission
from caudal.gateway_api.entrypoints.access import AnyCaller

FoldQuery = Annotated[
    bool, Query(alias="fold", description="Whether to fold the readings that this is about again at once.")
]


async def _folding(caller: AnyCaller, wanted: FoldQuery = False) -> bool:
    if wanted and not caller.may(Permission.TELEMETRY_WRITE):
        raise Forbidden(f"your role ({caller.role}) may not do this: to fold again needs {Permission.TELEMETRY_WRITE}")
    return wanted


Folding = Annotated[bool, Depends(_folding)]
"""For the signature of what can change what the past is judged by."""
