"""Messages about dynamic schemas, to handlers."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from caudal.common.bus import topics
from caudal.common.bus.codec import decode, encode
from caudal.common.bus.messages import Command, Rejected, Result
from caudal.common.bus.rejections import rejected_delivery
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Delivery, Outgoing, Subscription
from caudal.processor.handlers.previewing import preview
from caudal.processor.handlers.recording import RecordDesk, listen, order
from caudal.processor.handlers.upkeep import keep_rejected
from caudal.processor.ports import RecordOrder, Sink


class SchemaEntrypoint:
    """What the processor does when it hears of schemas."""

    def __init__(
        self, desk: RecordDesk, quiet: Callable[[], AbstractAsyncContextManager[None]], nudge: Callable[[], None]
    ) -> None:
        """`quiet`: a time in which nothing is on its way into the ledger."""
        self._desk = desk
        self._quiet = quiet
        self._nudge = nudge

    def subscription(self, is_shared: bool) -> Subscription:
        """Every replica hears of changes, since each notes what it changes; one of them takes an order."""
        command = topics.SCHEMA_COMMAND.filter(shared="processor-schema-command" if is_shared else None)
        return Subscription((topics.SCHEMA_CONFIG.filter(), command), self.take, max_batch=100, name="schema")

    async def start(self) -> None:
        """Go on noting what changes if there are schemas, and leave off if there are none."""
        # One that is being added meanwhile is either seen here, or its message comes after this.
        async with self._quiet():
            await listen(self._desk)

    async def take(self, deliveries: Sequence[Delivery]) -> None:
        """Have the records of these schemas computed again, or tried; put away what is no such message."""
        orders: list[RecordOrder] = []
        refused: list[Rejected] = []
        for delivery in deliveries:
            try:
                asked = _asked(delivery)
            except InvalidInput as error:
                refused.append(rejected_delivery(delivery, error.reason, self._desk.clock.now(), error.field))
            else:
                if isinstance(asked, RecordOrder):
                    orders.append(asked)
                else:
                    await self._try(*asked)
        if refused:
            await keep_rejected(self._desk.ledger, refused)
        if orders:
            await self._order(orders)

    async def _try(self, schema: str, command: Command) -> None:
        ok, detail = True, {}
        try:
            detail = await preview(self._desk, command.params)
        except InvalidInput as error:
            ok, detail = False, {"error": error.reason, "field": error.field}
        result = Result(id=command.id, ok=ok, detail=detail, timestamp=self._desk.clock.now())
        await self._desk.publisher.publish([Outgoing(topics.SCHEMA_RESULT.address(schema=schema), encode(result))])

    async def _order(self, orders: Sequence[RecordOrder]) -> None:
        # Once this has begun, whatever is committed is either seen by the computation, or noted for it.
        async with self._quiet():
            self._desk.ledger.listen(Sink.RECORDS, True)
        await order(self._desk, orders)
        self._nudge()


def _asked(delivery: Delivery) -> RecordOrder | tuple[str, Command]:
    """What a message asks for: records computed, or a schema tried. Of a change only the topic counts, since the
    catalog is asked anew.

    Raises:
        InvalidInput: it is no order.
    """
    changed = topics.SCHEMA_CONFIG.parse(delivery.topic)
    if changed is not None:
        return RecordOrder(schema=changed["schema"])
    ordered = topics.SCHEMA_COMMAND.parse(delivery.topic)
    if ordered is None:
        raise InvalidInput("topic", "names no schema")
    command = decode(delivery.payload, Command)
    if command.action == "preview":
        return ordered["schema"], command
    if command.action != "recompute":
        raise InvalidInput("action", f"{command.action[:40]!r} is neither recompute nor preview")
    return RecordOrder(schema=ordered["schema"], command=command.id)
