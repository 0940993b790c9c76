"""Orders to other services over the bus, and waiting for their answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import Command, Progress, Result
from caudal.common.domain.errors import CaudalError
from caudal.common.ports import Clock, Outgoing, Publisher
from caudal.gateway_api.domain.errors import OrderFailed
from caudal.gateway_api.domain.permissions import EVERYWHERE, Caller
from caudal.gateway_api.domain.telemetry import CommandState, OrderedCommand
from caudal.gateway_api.ports import Commands


@dataclass(frozen=True, slots=True)
class OrderDesk:
    """The ports that orders need, and who waits for an answer in this process."""

    commands: Commands
    publisher: Publisher
    clock: Clock
    waiting: dict[str, asyncio.Event] = field(default_factory=dict)


def new_order(
    desk: OrderDesk, caller: Caller, action: str, target: str, order: str | None = None, file: str | None = None
) -> OrderedCommand:
    """An order about `target`, not yet sent."""
    return OrderedCommand(
        id=order or uuid4().hex,
        action=action,
        target=target,
        ordered_by=caller.name,
        ordered_at=desk.clock.now(),
        file=file,
        client=caller.client,
    )


async def send(
    desk: OrderDesk, order: OrderedCommand, topic: str, params: Mapping[str, Any], wait_s: float
) -> OrderedCommand:
    """Send an order and wait for its answer, at most `wait_s`; the order as it stands then.

    Raises:
        Transient: the broker is away; the order is kept as failed.
    """
    answered = desk.waiting.setdefault(order.id, asyncio.Event())
    try:
        await desk.commands.sent(order)
        command = Command(id=order.id, action=order.action, params=dict(params))
        try:
            await desk.publisher.publish([Outgoing(topic, encode(command), needs_reader=True)])
        except CaudalError as error:
            await desk.commands.finished(order.id, False, {"error": str(error)}, desk.clock.now())
            raise
        try:
            async with asyncio.timeout(wait_s):
                await answered.wait()
        except TimeoutError:
            pass
        return await desk.commands.one(order.id, EVERYWHERE) or order
    finally:
        desk.waiting.pop(order.id, None)


def done_or_under_way(order: OrderedCommand) -> OrderedCommand:
    """`order`, unless it failed.

    Raises:
        OrderFailed: it did; the error says what the other service said.
    """
    if order.state is not CommandState.FAILED:
        return order
    said = order.detail
    reason = said.get("error") or said.get("reason") or "the order could not be carried out"
    raise OrderFailed(str(reason), str(said["field"]) if said.get("field") else None)


async def take_progress(desk: OrderDesk, far: Progress) -> None:
    """Keep how far an order has come, for who asks."""
    await desk.commands.progressed(far.id, {"done": far.done, "total": far.total, "unit": far.unit})


async def take_answer(desk: OrderDesk, result: Result) -> None:
    """Keep the answer to an order and wake who waits for it; answers to nobody's order are dropped."""
    await desk.commands.finished(result.id, result.ok, result.detail, result.timestamp)
    if waiting := desk.waiting.get(result.id):
        waiting.set()
