"""Messages about dynamic schemas, to handlers."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from caudal.common.bus import topics
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Command, Rejected
from caudal.common.bus.rejections import rejected_delivery
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Delivery, Subscription
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
        """Have the records of these schemas computed again; put away what is no such message."""
        orders: list[RecordOrder] = []
        refused: list[Rejected] = []
        for delivery in deliveries:
            try:
                orders.append(_order_of(delivery))
            except InvalidInput as error:
                refused.append(rejected_delivery(delivery, error.reason, self._desk.clock.now(), error.field))
        if refused:
            await keep_rejected(self._desk.ledger, refused)
        # Once this has begun, whatever is committed is either seen by the computation, or noted for it.
        async with self._quiet():
            self._desk.ledger.listen(Sink.RECORDS, True)
        await order(self._desk, orders)
        self._nudge()


def _order_of(delivery: Delivery) -> RecordOrder:
    """What a message asks for; of a change only the topic counts, since the catalog is asked anew.

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
    if command.action != "recompute":
        raise InvalidInput("action", f"{command.action[:40]!r} is not recompute")
    return RecordOrder(schema=ordered["schema"], command=command.id)
