"""What the routes reach: one desk per room, put into the application by `main`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from caudal.gateway_api.handlers.asking import AskingDesk
from caudal.gateway_api.handlers.catalog import CatalogDesk
from caudal.gateway_api.handlers.identity import Identity
from caudal.gateway_api.handlers.imports import ImportDesk
from caudal.gateway_api.handlers.intake import Intake
from caudal.gateway_api.handlers.once import OnceDesk
from caudal.gateway_api.handlers.records import RecordsDesk
from caudal.gateway_api.handlers.schemas import SchemaDesk
from caudal.gateway_api.handlers.series import SeriesDesk
from caudal.gateway_api.handlers.telemetry import TelemetryDesk
from caudal.gateway_api.handlers.windows import WindowDesk
from caudal.gateway_api.ports import Queues, Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Everything that a request may need."""

    identity: Identity
    catalog: CatalogDesk
    asking: AskingDesk
    intake: Intake
    telemetry: TelemetryDesk
    series: SeriesDesk
    windows: WindowDesk
    imports: ImportDesk
    once: OnceDesk
    rates: Rates
    records: RecordsDesk
    schemas: SchemaDesk
    queues: Queues
    figures: Callable[[], Awaitable[dict[str, float | None]]]
    """What `GET /metrics` answers."""


def door_of(request: Request) -> Door:
    """What the application of this request reaches."""
    return cast(Door, request.app.state.door)


async def _door_of(request: Request) -> Door:
    # Not because it waits: what is not async, FastAPI runs in a thread, which costs more than a query.
    return door_of(request)


TheDoor = Annotated[Door, Depends(_door_of)]
