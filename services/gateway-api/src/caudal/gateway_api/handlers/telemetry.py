"""Questions about readings, and orders to fold or read them again."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from caudal.common.bus.codec import encode_msgpack
from caudal.common.bus.contents import packed, unpacked
from caudal.common.bus.messages import Push
from caudal.common.bus.topics import PROVIDER_PUSH, TELEMETRY_COMMAND, topic_of
from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Clock, Outgoing, Publisher
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.telemetry import OrderedCommand, RejectedEntry, Summary
from caudal.gateway_api.handlers.orders import OrderDesk, new_order, send
from caudal.gateway_api.ports import CatalogStore, Ledger

SENDER = "gateway-api"
"""Our name in the catalogue of topics."""


@dataclass(frozen=True, slots=True)
class TelemetryDesk:
    """The ports that questions about readings need."""

    catalog: CatalogStore
    ledger: Ledger
    orders: OrderDesk
    publisher: Publisher
    clock: Clock
    order_wait_s: float
    """How long an answer waits for the processor's."""


async def point_of_code(desk: TelemetryDesk, caller: Caller, code: str) -> Point:
    """The point of this code.

    Raises:
        NotFound: there is none within the caller's scope.
    """
    point = await desk.catalog.point(code, caller.scope)
    if point is None:
        raise NotFound("point", code)
    return point


async def summary_of(desk: TelemetryDesk, caller: Caller, code: str) -> Summary:
    """What the ledger holds of a point.

    Raises:
        NotFound: there is no such point.
    """
    point = await point_of_code(desk, caller, code)
    earlier = [device for device in await desk.catalog.devices_of(code) if device != point.device]
    return await desk.ledger.summary(code, [*earlier, point.device])


async def devices_asked_for(desk: TelemetryDesk, device: str | None, point: str | None) -> tuple[str, ...] | None:
    """The devices to which a question about a device, a point or both comes down; None: any."""
    if device is not None:
        return (device,)
    return tuple(await desk.catalog.devices_of(point)) if point is not None else None


async def process(
    desk: TelemetryDesk,
    caller: Caller,
    code: str,
    start: datetime | None,
    end: datetime | None,
    wait_s: float | None = None,
) -> OrderedCommand:
    """Have a point folded again from `start` on, up to `end`; without them, all of it.

    Waits `wait_s` for the outcome; None: as long as answers usually wait.

    Raises:
        NotFound: there is no such point.
        InvalidInput: the range ends before it starts.
        Transient: the broker is away.
    """
    if start is not None and end is not None and start > end:
        raise InvalidInput("from", "must not be after `to`")
    point = await point_of_code(desk, caller, code)
    order = new_order(desk.orders, caller, "process", point.device)
    params = {"point": code, "from": _text(start), "to": _text(end)}
    wait_s = desk.order_wait_s if wait_s is None else wait_s
    return await send(desk.orders, order, TELEMETRY_COMMAND.address(device=point.device), params, wait_s)


async def rejected_entry(desk: TelemetryDesk, caller: Caller, entry: str) -> RejectedEntry:
    """What could not be read.

    Raises:
        NotFound: there is no such entry.
    """
    found = await desk.ledger.rejected_one(entry, caller.scope)
    if found is None:
        raise NotFound("rejected payload", entry)
    return found


async def replay(desk: TelemetryDesk, caller: Caller, entry: str) -> OrderedCommand:
    """Publish a rejected payload again where it came from, and have it marked as replayed.

    Raises:
        NotFound: there is no such entry.
        Conflict: it is a row of a batch window, which is read again by running the window again; or only a part of it
            was kept; or it came in on a topic on which we have nothing to say.
        Transient: the broker is away; nothing, or not all, was published, and nothing was marked.
    """
    rejected = await rejected_entry(desk, caller, entry)
    await desk.publisher.publish([_again(rejected, desk.clock.now())])
    order = new_order(desk.orders, caller, "replay", rejected.device)
    topic = TELEMETRY_COMMAND.address(device=rejected.device)
    return await send(desk.orders, order, topic, {"rejected_id": rejected.id}, desk.order_wait_s)


def _again(rejected: RejectedEntry, now: datetime) -> Outgoing:
    """The message that brings a rejected payload in once more."""
    if rejected.payload_encoding == "cut":
        raise Conflict("only the beginning of this payload was kept: it was too large")
    body = unpacked(rejected.payload, rejected.payload_encoding)
    ids = PROVIDER_PUSH.parse(rejected.topic)
    if ids is not None:
        content, encoding = packed(body)
        push = Push(id=uuid4().hex, provider=ids["provider"], received_at=now, content=content, encoding=encoding)
        return Outgoing(rejected.topic, encode_msgpack(push), needs_reader=True)
    if rejected.inlet == Inlet.WINDOW:
        raise Conflict("this is a row of a batch window: run the window again once it can be read")
    if not rejected.topic.startswith("zigbee2mqtt/") and SENDER not in topic_of(rejected.topic).senders:
        raise Conflict(f"what came in on {rejected.topic} cannot be published again")
    return Outgoing(rejected.topic, body, needs_reader=True)


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
