"""Keeping dynamic schemas, having their records computed, and reading them."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import SchemaChanged
from caudal.common.bus.topics import SCHEMA_COMMAND, SCHEMA_CONFIG
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.domain.schemas import Schema
from caudal.common.ports import Clock, Outgoing
from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.permissions import Caller, Scope
from caudal.gateway_api.domain.records import CLIENTS, SCHEMAS
from caudal.gateway_api.domain.telemetry import OrderedCommand
from caudal.gateway_api.handlers.orders import OrderDesk, new_order, send
from caudal.gateway_api.handlers.outbox import OutboxRelay
from caudal.gateway_api.handlers.records import RecordsDesk, Rule, one
from caudal.gateway_api.ports import PointCodes, RecordsEdit, SchemaRecords

MAX_TRIED = 20
"""Points on which a schema is tried, in order of their codes."""


@dataclass(frozen=True, slots=True)
class SchemaDesk:
    """The ports that schemas need."""

    kept: RecordsDesk
    """Where the schemas themselves are kept."""
    records: SchemaRecords
    relay: OutboxRelay
    orders: OrderDesk
    clock: Clock
    order_wait_s: float
    """How long an answer waits for the processor's."""
    points: PointCodes


def schema_rule(desk: SchemaDesk) -> Rule[Schema]:
    """What goes with every change of a schema: it is the caller's own, its points are there, the processor is told.

    Raises:
        Forbidden: it is shared by all clients, and the caller is somebody's.
        InvalidInput: it says of a client or a point that it cannot be about.
    """

    async def rule(edit: RecordsEdit, caller: Caller, before: Schema | None, after: Schema | None) -> None:
        for schema in (before, after):
            if schema is not None:
                _check_own(caller, schema)
                changed = SchemaChanged(schema=schema.code, changed_at=desk.clock.now())
        if after is not None:
            await _check_belongings(edit, after)
        await edit.tell(Outgoing(SCHEMA_CONFIG.address(schema=changed.schema), encode(changed)), changed.changed_at)

    return rule


def _check_own(caller: Caller, schema: Schema) -> None:
    if schema.client is None and caller.client is not None:
        raise Forbidden("a schema that is shared by all clients is changed by staff only")
    if not caller.scope.sees(schema.client):
        raise InvalidInput("client", f"there is no client {schema.client!r}")


async def _check_belongings(edit: RecordsEdit, schema: Schema) -> None:
    if schema.client is not None:
        try:
            await edit.one(CLIENTS, schema.client)
        except NotFound as error:
            raise InvalidInput("client", f"there is no client {schema.client!r}") from error
    for place, point in enumerate(schema.points):
        whose = await edit.client_of_point(point)
        if whose is None or schema.client not in (None, whose[0]):
            raise InvalidInput(f"points.{place}", f"there is no point {point!r}")


async def preview(desk: SchemaDesk, caller: Caller, schema: Schema, start: datetime, end: datetime) -> OrderedCommand:
    """Have a schema tried on what was measured in [start, end), without keeping it or its records.

    Raises:
        InvalidInput, Forbidden: as adding it would.
        Transient: the broker is away.
    """
    schema = SCHEMAS.checked(schema)
    async with desk.kept.records.edit(caller.scope) as edit:
        if not caller.scope.sees(schema.client):
            raise InvalidInput("client", f"there is no client {schema.client!r}")
        await _check_belongings(edit, schema)
    points = schema.points or await desk.points.codes(Scope(schema.client), MAX_TRIED)
    order = new_order(desk.orders, caller, "preview", schema.code)
    params = {
        "schema": msgspec.to_builtins(schema),
        "points": [*points][:MAX_TRIED],
        "start": start.isoformat(),
        "end": end.isoformat(),
    }
    return await send(desk.orders, order, SCHEMA_COMMAND.address(schema=schema.code), params, desk.order_wait_s)


async def recompute(desk: SchemaDesk, caller: Caller, code: str) -> OrderedCommand:
    """Have all records of a schema computed again.

    Raises:
        NotFound: there is no such schema.
        Forbidden: it is shared by all clients, and the caller is somebody's.
        Transient: the broker is away.
    """
    schema = await one(desk.kept, caller, SCHEMAS, code)
    _check_own(caller, schema)
    order = new_order(desk.orders, caller, "recompute", code)
    return await send(desk.orders, order, SCHEMA_COMMAND.address(schema=code), {}, desk.order_wait_s)
