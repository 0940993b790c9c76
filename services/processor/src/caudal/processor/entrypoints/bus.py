"""Messages of the bus to handlers: decode, call one, tell whoever waits for the outcome."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from caudal.common.bus import topics
from caudal.common.bus.codec import decode, encode
from caudal.common.bus.messages import Command, RawReadings, Rejected, Result
from caudal.common.bus.rejections import rejected_delivery
from caudal.common.domain.errors import InvalidInput, NotFound, Transient
from caudal.common.domain.ids import is_id
from caudal.common.domain.series import END_OF_TIME, FIRST_INSTANT
from caudal.common.ports import Clock, Delivery, Outgoing, Publisher, Subscription
from caudal.processor.handlers.readings import Desk, claim, fold_again, keep
from caudal.processor.handlers.upkeep import keep_rejected, mark_replayed

P = TypeVar("P")

READINGS_AT_ONCE = 2000
"""Readings of one transaction, give or take a bundle: a thousand messages may hold a hundred times as many."""
COMMANDS_AT_ONCE = 100
"""Orders carried out before any of them is acknowledged: after a crash all of them are carried out again."""
LANE_READINGS = 500
"""So many readings are worth a transaction of their own beside another."""

_log = structlog.get_logger(__name__)


class ForgetfulCatalog(Protocol):
    """A catalog that remembers, until told to forget."""

    def forget(self, device: str) -> None:
        """Ask anew about this device next time."""
        ...


class _Process(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """Parameters of the command `process`."""

    point: str
    start: datetime | None = None
    end: datetime | None = None


class _Replay(msgspec.Struct):
    """Parameters of the command `replay`."""

    rejected_id: str


class BusEntrypoint:
    """What the processor does with what it hears."""

    def __init__(
        self,
        desk: Desk,
        catalog: ForgetfulCatalog,
        publisher: Publisher,
        clock: Clock,
        nudge: Callable[[], None],
        lanes: int = 1,
        review: Callable[[Collection[str]], Awaitable[None]] | None = None,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._desk = desk
        self._catalog = catalog
        self._publisher = publisher
        self._clock = clock
        self._nudge = nudge
        self._lanes = lanes
        """Transactions at once, where there is much: one is folded while the database writes the other."""
        self._behind = timedelta(0)
        """How long the last of what came had waited, since somebody asked."""
        self._judged_at: datetime | None = None
        self._catalog_in_use = asyncio.Lock()
        """A batch that still believes a device unknown must be committed before the device is claimed."""
        self._folding = asyncio.Lock()
        """Held while readings that were there before are folded."""
        self._review = review
        """Told of devices whose entry in the catalog changed."""
        self._begin = begin
        """Has to be done before any reading is taken in; None: nothing, or it is done."""

    def subscriptions(self, linger_s: float, is_shared: bool) -> list[Subscription]:
        """What the processor listens to; replicas that share divide all but news of the catalog.

        A group for each filter: the embedded broker takes groups of one name for one, whatever they listen to.
        """
        raw = topics.TELEMETRY_RAW.filter(shared="processor" if is_shared else None)
        rejected = topics.TELEMETRY_REJECTED.filter(shared="processor-rejected" if is_shared else None)
        command = topics.TELEMETRY_COMMAND.filter(shared="processor-command" if is_shared else None)
        return [
            Subscription((raw,), self.take_raw, linger_s=linger_s, name="raw"),
            Subscription((rejected,), self.take_rejected, name="rejected"),
            Subscription((command,), self.take_command, max_batch=COMMANDS_AT_ONCE, name="command"),
            Subscription((topics.TELEMETRY_CONFIG.filter(),), self.take_config, name="config"),
        ]

    async def take_raw(self, deliveries: Sequence[Delivery]) -> None:
        """Keep the readings of these messages; put away what is no such message."""
        bundles: list[RawReadings] = []
        refused: list[Rejected] = []
        for delivery in deliveries:
            try:
                bundles.append(_raw_readings(delivery))
            except InvalidInput as error:
                refused.append(rejected_delivery(delivery, error.reason, self._clock.now(), error.field))
        if refused:
            await keep_rejected(self._desk.ledger, refused)
        if self._begin is not None:
            await self._begin()
            self._begin = None
        async with self._catalog_in_use:
            lanes = [self._keep(lane) for lane in _lanes(bundles, self._lanes)]
            outcomes = await asyncio.gather(*lanes, return_exceptions=True)
        if bundles:
            self._behind = self._clock.now() - bundles[-1].readings[-1].received_at
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:
            # One that is worth another try comes first: what is wrong with the rest shows then, too.
            raise next((failure for failure in failures if isinstance(failure, Transient)), failures[0])

    def has_caught_up(self, most: timedelta) -> bool:
        """Whether what came last had waited for at most so long, as far as can be said after so long a time."""
        now = self._clock.now()
        is_new, self._judged_at = self._judged_at is None, now
        behind, self._behind = self._behind, timedelta(0)
        return not is_new and behind <= most

    async def _keep(self, bundles: Sequence[RawReadings]) -> None:
        for some in _in_parts(bundles):
            await keep(self._desk, some)
            self._nudge()

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """A time in which nothing is on its way into the ledger."""
        async with self._folding, self._catalog_in_use:
            yield

    async def take_rejected(self, deliveries: Sequence[Delivery]) -> None:
        """Keep what others could not read; a report that can't be read itself is kept as one."""
        await keep_rejected(self._desk.ledger, [self._rejected(delivery) for delivery in deliveries])

    async def take_config(self, deliveries: Sequence[Delivery]) -> None:
        """Forget what was cached, and take in readings that waited for a point."""
        devices = {ids["device"] for delivery in deliveries if (ids := topics.TELEMETRY_CONFIG.parse(delivery.topic))}
        async with self._catalog_in_use:
            for device in devices:
                self._catalog.forget(device)
            waiting = devices.intersection(await self._desk.ledger.unclaimed_devices())
        for device in sorted(waiting):
            async with self._folding:
                taken = await claim(self._desk, device)
            _log.info("claimed", device=device, readings=taken)
            self._nudge()
        if self._review is not None:
            await self._review(devices)

    async def take_command(self, deliveries: Sequence[Delivery]) -> None:
        """Carry out orders and say what came of them; put away what is no order."""
        refused: list[Rejected] = []
        for delivery in deliveries:
            try:
                device, command = _command(delivery)
            except InvalidInput as error:
                refused.append(rejected_delivery(delivery, error.reason, self._clock.now(), error.field))
            else:
                result = encode(await self._result_of(device, command))
                await self._publisher.publish([Outgoing(topics.TELEMETRY_RESULT.address(device=device), result)])
        if refused:
            await keep_rejected(self._desk.ledger, refused)

    async def _result_of(self, device: str, command: Command) -> Result:
        try:
            ok, detail = True, await self._obey(command, device)
        except (InvalidInput, NotFound) as error:
            ok, detail = False, {"reason": str(error)}
        return Result(id=command.id, ok=ok, detail=detail, timestamp=self._clock.now())

    async def put_away(self, delivery: Delivery, reason: str) -> None:
        """Keep a delivery that no handler could take."""
        await keep_rejected(self._desk.ledger, [rejected_delivery(delivery, reason, self._clock.now())])

    async def _obey(self, command: Command, device: str) -> dict[str, Any]:
        if command.action == "process":
            order = _params(command, _Process)
            # The order may overtake the news of the change that it is about.
            self._catalog.forget(device)
            async with self._folding:
                seen, changed = await fold_again(self._desk, order.point, order.start, order.end)
            self._nudge()
            return {"readings": seen, "changed": changed}
        if command.action == "replay":
            found = await mark_replayed(self._desk.ledger, _params(command, _Replay).rejected_id, self._clock.now())
            return {"found": found}
        raise InvalidInput("action", f"{command.action[:40]!r} is neither process nor replay")

    def _rejected(self, delivery: Delivery) -> Rejected:
        try:
            rejected = decode(delivery.payload, Rejected)
            _check_time("received_at", rejected.received_at)
            return rejected
        except InvalidInput as error:
            return rejected_delivery(delivery, error.reason, self._clock.now(), error.field)


def _lanes(bundles: Sequence[RawReadings], at_most: int) -> list[list[RawReadings]]:
    """Bundles dealt out so that what is of one device stays together, in order, and no lane is a small one."""
    readings = sum(len(bundle.readings) for bundle in bundles)
    lanes: list[list[RawReadings]] = [[] for _ in range(max(1, min(at_most, readings // LANE_READINGS)))]
    loads = [0] * len(lanes)
    lane_of: dict[str, int] = {}
    for bundle in bundles:
        lane = lane_of.setdefault(bundle.device, loads.index(min(loads)))
        lanes[lane].append(bundle)
        loads[lane] += len(bundle.readings)
    return lanes


def _in_parts(bundles: Sequence[RawReadings]) -> Iterator[list[RawReadings]]:
    """Bundles in order, in parts that one transaction can hold."""
    part: list[RawReadings] = []
    readings = 0
    for bundle in bundles:
        if part and readings + len(bundle.readings) > READINGS_AT_ONCE:
            yield part
            part, readings = [], 0
        part.append(bundle)
        readings += len(bundle.readings)
    if part:
        yield part


def _raw_readings(delivery: Delivery) -> RawReadings:
    bundle = decode(delivery.payload, RawReadings)
    ids = topics.TELEMETRY_RAW.parse(delivery.topic)
    if ids is None or bundle.device != ids["device"]:
        raise InvalidInput("device", f"{bundle.device[:80]!r} is not that of the topic")
    if not bundle.readings:
        raise InvalidInput("readings", "holds none")
    codes: set[str] = set()
    for reading in bundle.readings:
        _check_time("measured_at", reading.measured_at)
        _check_time("received_at", reading.received_at)
        _check_time("logged_at", reading.logged_at)
        codes.update(reading.values, reading.problems)
    for code in codes:
        if not is_id(code):
            raise InvalidInput("values", f"{code[:80]!r} is no variable code: 1 to 64 of A-Z a-z 0-9 _ -")
    return bundle


def _command(delivery: Delivery) -> tuple[str, Command]:
    ids = topics.TELEMETRY_COMMAND.parse(delivery.topic)
    if ids is None:
        raise InvalidInput("topic", "names no device")
    return ids["device"], decode(delivery.payload, Command)


def _check_time(field: str, at: datetime | None) -> None:
    """Refuse an instant that one of the places where it is kept cannot give back."""
    if at is not None and not FIRST_INSTANT <= at < END_OF_TIME:
        raise InvalidInput(field, f"must lie between {FIRST_INSTANT:%Y} and {END_OF_TIME:%Y}")


def _params(command: Command, kind: type[P]) -> P:
    try:
        return msgspec.convert(command.params, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput("params", str(error)) from error
