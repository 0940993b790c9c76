"""Background work, for those who look after the platform."""

from dataclasses import dataclass

from fastapi import Response

from caudal.gateway_api.domain.queues import Queue
from caudal.gateway_api.entrypoints.access import QueueReader
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor

queues = room("system")


@dataclass(frozen=True)
class AllQueues:
    """Every queue that there is."""

    items: list[Queue]


@queues.get("/api/admin/queues/", response_model=AllQueues)
async def list_queues(door: TheDoor, caller: QueueReader) -> Response:
    """List the queues of all services, with what waits, what is in hand and when each last began; staff only."""
    return answer(AllQueues(list(await door.queues.all())))
