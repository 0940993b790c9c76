"""Raw readings, what could not be read, devices that nobody claims, and orders to read or fold again."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Response

from caudal.common.domain.errors import NotFound
from caudal.common.domain.readings import Inlet, RawStatus
from caudal.gateway_api.domain.cursors import Cursor, cursor_of
from caudal.gateway_api.domain.lists import UNCLAIMED
from caudal.gateway_api.domain.telemetry import (
    CommandState,
    OrderedCommand,
    RawEntry,
    RawOrder,
    RawQuery,
    RejectedEntry,
    RejectedQuery,
    Summary,
    Unclaimed,
)
from caudal.gateway_api.entrypoints.access import (
    PointFolder,
    ReadingFinder,
    SeriesReader,
    TelemetryOperator,
    TelemetryReader,
)
from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.lists import AS_FILE, Asked, asked_for, listed, named_only
from caudal.gateway_api.entrypoints.once import Creating
from caudal.gateway_api.entrypoints.schemas.common import Id, Instant, Listed, Stretch, Text
from caudal.gateway_api.entrypoints.schemas.telemetry import OrderAnswer, ProcessBody
from caudal.gateway_api.handlers import telemetry as handlers
from caudal.gateway_api.handlers.orders import done_or_under_way

readings = room("telemetry")

Limit = Annotated[int, Query(ge=1, le=1000)]
CursorText = Annotated[Text | None, Query(description="`next_cursor` of the stretch before.")]
From = Annotated[Instant | None, Query(alias="from", description="Included.")]
To = Annotated[Instant | None, Query(alias="to", description="Excluded.")]
EntryId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_:.-]{1,128}$")]


@readings.get("/api/telemetry/raw/", response_model=Stretch[RawEntry], dependencies=[Depends(named_only)])
async def list_raw(
    door: TheDoor,
    caller: ReadingFinder,
    device: Annotated[Id | None, Query()] = None,
    point: Annotated[Id | None, Query()] = None,
    status: RawStatus | None = None,
    inlet: Inlet | None = None,
    start: From = None,
    end: To = None,
    order: Annotated[
        RawOrder | None,
        Query(description="Newest first by this; measured_at for one device or point, else received_at."),
    ] = None,
    cursor: CursorText = None,
    limit: Limit = 100,
) -> Response:
    """List raw readings as they came, the newest first; `from` and `to` are about `measured_at`."""
    by_device = RawOrder.MEASURED if device is not None or point is not None else RawOrder.RECEIVED
    query = RawQuery(
        devices=await handlers.devices_asked_for(door.telemetry, device, point),
        point=point,
        status=status,
        inlet=inlet,
        start=start,
        end=end,
        order=order or by_device,
    )
    found = await door.telemetry.ledger.raw(caller.scope, query, cursor_of(cursor) if cursor else None, limit + 1)
    more = len(found) > limit
    last = found[limit - 1] if more else None
    ends_at = Cursor(getattr(last, query.order.value), last.id).text() if last else None
    return answer(Stretch(found[:limit], ends_at))


@readings.get("/api/telemetry/rejected/", response_model=Stretch[RejectedEntry], dependencies=[Depends(named_only)])
async def list_rejected(
    door: TheDoor,
    caller: ReadingFinder,
    device: Annotated[Id | None, Query()] = None,
    provider: Annotated[Id | None, Query()] = None,
    inlet: Inlet | None = None,
    replayed: bool | None = None,
    start: From = None,
    end: To = None,
    cursor: CursorText = None,
    limit: Limit = 100,
) -> Response:
    """List what could not be read, the last received first; `from` and `to` are about `received_at`."""
    query = RejectedQuery(device=device, provider=provider, inlet=inlet, replayed=replayed, start=start, end=end)
    found = await door.telemetry.ledger.rejected(caller.scope, query, cursor_of(cursor) if cursor else None, limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return answer(Stretch(found[:limit], Cursor(last.received_at, last.id).text() if last else None))


@readings.get("/api/telemetry/rejected/{entry}", response_model=RejectedEntry)
async def get_rejected(door: TheDoor, caller: ReadingFinder, entry: EntryId) -> Response:
    """Show a payload that could not be read, whole, with the reason."""
    return answer(await handlers.rejected_entry(door.telemetry, caller, entry))


@readings.post(
    "/api/telemetry/rejected/{entry}/replay",
    response_model=OrderAnswer,
    responses={202: {"model": OrderAnswer, "description": "Published; not marked as replayed yet"}},
)
async def replay_rejected(door: TheDoor, caller: TelemetryOperator, create: Creating, entry: EntryId) -> Response:
    """Read a payload again, after what kept it from being read was put right."""

    async def make() -> Response:
        return ordered(done_or_under_way(await handlers.replay(door.telemetry, caller, entry)))

    return await create(make)


@readings.get("/api/telemetry/unclaimed/", response_model=Listed[Unclaimed], responses=AS_FILE)
async def list_unclaimed(
    door: TheDoor, caller: TelemetryReader, asked: Annotated[Asked, Depends(asked_for(UNCLAIMED))]
) -> Response:
    """List devices that were heard of and belong to no point; their readings wait until one claims them."""
    return await listed(asked, partial(door.telemetry.ledger.unclaimed, caller.scope))


@readings.get("/api/telemetry/summary/", response_model=Summary)
async def summarize(door: TheDoor, caller: SeriesReader, point: Annotated[Id, Query()]) -> Response:
    """Count what the ledger holds of a point."""
    return answer(await handlers.summary_of(door.telemetry, caller, point))


@readings.post(
    "/api/telemetry/process/",
    response_model=OrderAnswer,
    responses={202: {"model": OrderAnswer, "description": "Still at it; ask again with the id"}},
)
async def process_again(door: TheDoor, caller: PointFolder, create: Creating, body: ProcessBody) -> Response:
    """Fold a point's readings again under its configuration; what comes out differently is published as amended."""

    async def make() -> Response:
        order = await handlers.process(door.telemetry, caller, body.point, body.start, body.end)
        return ordered(done_or_under_way(order))

    return await create(make)


@readings.get("/api/telemetry/process/{order}", response_model=OrderAnswer)
async def get_order(door: TheDoor, caller: ReadingFinder, order: Id) -> Response:
    """Show how far an order has come."""
    found = await door.telemetry.orders.commands.one(order, caller.scope)
    if found is None:
        raise NotFound("order", order)
    return ordered(found)


def ordered(order: OrderedCommand) -> Response:
    """An order: 200 once it is answered, 202 before."""
    shown = OrderAnswer(order.id, order.state, order.detail, order.ordered_at, order.finished_at)
    return answer(shown, 202 if order.state is CommandState.SENT else 200)
