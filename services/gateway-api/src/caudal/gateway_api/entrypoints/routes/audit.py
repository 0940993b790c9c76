"""Who did what."""

from typing import Annotated

from fastapi import Depends, Response

from caudal.gateway_api.domain.audit import AuditLine
from caudal.gateway_api.domain.lists import AUDIT
from caudal.gateway_api.entrypoints.access import AuditReader
from caudal.gateway_api.entrypoints.answers import room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed
from caudal.gateway_api.entrypoints.schemas.common import Listed

audit = room("audit")


@audit.get("/api/audit/", response_model=Listed[AuditLine], responses=AS_FILE)
async def list_audit(
    door: TheDoor, caller: AuditReader, asked: Annotated[Asked, Depends(asked_for(AUDIT))]
) -> Response:
    """List who did what, the last first; somebody of a client sees what was done to that client's things.

    The lines are a chain: each has the hash of the one before it, and `caudal verify` walks it.
    """
    return await listed(asked, lambda listing: door.identity.store.audit(listing, caller.scope))
