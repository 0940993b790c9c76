"""One function for every door: payloads in, readings and rejects out on the bus."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from caudal.common.bus.messages import RawReading
from caudal.common.domain.ids import id_from_name
from caudal.common.domain.payloads.reader import Measurement, Outcome
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Catalog, Clock, Outgoing, Publisher
from caudal.ingest.domain.admission import speaks_for
from caudal.ingest.domain.payloads import decode_payload, text_of
from caudal.ingest.handlers.bundles import Source, bundles, rejected
from caudal.ingest.handlers.readers import CANONICAL, Readers
from caudal.ingest.ports import Tally

TICK = timedelta(microseconds=1)
"""How far the times of receipt of two readings are apart at least, so that the later one can be told."""
NOWHERE = "unknown"
"""Device in the topic of a reject that names none."""


class Arrival(msgspec.Struct, frozen=True):
    """One payload, whichever door it came through."""

    topic: str
    """Where it came in, and can be published again."""
    payload: bytes
    inlet: Inlet
    device: str | None = None
    """From the topic; None: the payload says."""
    provider: str | None = None
    """Who pushed it."""
    received_at: datetime | None = None
    """None: now."""
    retained: bool = False
    """Whether the broker kept it: nobody knows since when."""
    preset: str = CANONICAL
    """What is spoken at this door, unless the catalog says otherwise."""
    unreadable: Unreadable | None = None
    """The door could not make sense of it."""


class Accepting:
    """Turns arrivals into messages on `telemetry/<device>/raw` and `/rejected`.

    Args:
        catalog: Whose devices they are and how they speak.
        publisher: The bus; `accept` returns once it has acknowledged everything.
        clock: When they came.
        tally: Counts, once all is published.
    """

    def __init__(self, catalog: Catalog, publisher: Publisher, clock: Clock, tally: Tally) -> None:
        self._catalog = catalog
        self._publisher = publisher
        self._clock = clock
        self._tally = tally
        self._readers = Readers(catalog)
        self._last = datetime.min.replace(tzinfo=clock.now().tzinfo)

    async def accept(self, arrivals: Sequence[Arrival]) -> None:
        """Publish every reading of `arrivals`, in their order per device, and every reject with its reason.

        Raises:
            Transient: the bus or the catalog is away; nothing is counted, and all may be tried again.
        """
        sorted_out = _SortedOut()
        for arrival in arrivals:
            await self._take(arrival, sorted_out)
        await self._publisher.publish(sorted_out.messages())
        sorted_out.count(self._tally)

    async def understood(self, arrival: Arrival) -> Outcome:
        """What `accept` would make of an arrival, without telling anybody.

        Raises:
            Transient: the catalog is away.
        """
        try:
            payload, now = decode_payload(arrival.payload), self._clock.now()
            if arrival.device is not None:
                return await self._readers.read(arrival.device, payload, now, arrival.preset)
            return (await self._readers.of_provider(arrival.provider or "")).read(payload, now)
        except Unreadable as error:
            return Outcome([], [error])

    async def _take(self, arrival: Arrival, sorted_out: "_SortedOut") -> None:
        received_at = arrival.received_at or self._stamp()
        source = _source_of(arrival)
        try:
            if arrival.unreadable:
                raise arrival.unreadable
            payload = decode_payload(arrival.payload)
            outcome = await self._read(arrival, payload, received_at)
        except Unreadable as error:
            payload, outcome = None, Outcome([], [error])
        if arrival.retained and any(not reading.is_timed for reading in outcome.readings):
            sorted_out.drop("retained without time")
            return
        for index, reading in enumerate(outcome.readings):
            text = _text_of(arrival.payload, payload) if reading.item is payload else text_of(reading.item)
            owner = source if arrival.device else msgspec.structs.replace(source, device=reading.device)
            sorted_out.keep(owner, _raw(reading, received_at + index * TICK, text))
        if arrival.received_at is None:
            self._last = received_at + len(outcome.readings) * TICK
        if outcome.refused:
            sorted_out.reject(arrival, received_at, source, outcome)

    async def _read(self, arrival: Arrival, payload: Any, received_at: datetime) -> Outcome:
        if arrival.device is not None:
            # The topic is what the broker's access rules looked at: whatever device the payload names, this one counts.
            return await self._readers.read(arrival.device, payload, received_at, arrival.preset)
        reader = await self._readers.of_provider(arrival.provider or "")
        return await self._owned(reader.read(payload, received_at), arrival.provider)

    async def _owned(self, outcome: Outcome, provider: str | None) -> Outcome:
        """`outcome` without readings of devices that the provider does not name, or for which it may not speak."""
        readings: list[Measurement] = []
        refused = list(outcome.refused)
        for index, reading in enumerate(outcome.readings):
            reason = await self._foreign(reading.device, provider)
            if reason:
                refused.append(Unreadable(Refusal.DEVICE, f"[{index}].device", reason))
            else:
                readings.append(reading)
        return Outcome(readings, refused)

    async def _foreign(self, device: str | None, provider: str | None) -> str | None:
        if device is None:
            return "the payload does not say which device measured"
        point = await self._catalog.point_of(device)
        if point is None:
            return None
        pusher = await self._catalog.provider(provider or "")
        return None if pusher and speaks_for(pusher, point) else f"{device!r} is not a device of {provider!r}"

    def _stamp(self) -> datetime:
        """Now, and always after the last one: of two values for one instant the later one counts."""
        self._last = max(self._clock.now(), self._last + TICK)
        return self._last


class _SortedOut:
    """What a batch of arrivals comes to."""

    def __init__(self) -> None:
        self._readings: dict[Source, list[RawReading]] = {}
        self._rejects: list[Outgoing] = []
        self._kinds: list[tuple[Inlet, Refusal]] = []
        self._dropped: list[str] = []

    def keep(self, source: Source, reading: RawReading) -> None:
        self._readings.setdefault(source, []).append(reading)

    def reject(self, arrival: Arrival, received_at: datetime, source: Source, outcome: Outcome) -> None:
        kept = len(outcome.readings)
        self._rejects.append(rejected(arrival.topic, arrival.payload, received_at, source, outcome.refused, kept))
        self._kinds.append((arrival.inlet, outcome.refused[0].kind))

    def drop(self, reason: str) -> None:
        self._dropped.append(reason)

    def messages(self) -> list[Outgoing]:
        readings = (message for source, group in self._readings.items() for message in bundles(source, group))
        return [*readings, *self._rejects]

    def count(self, tally: Tally) -> None:
        accepted: Counter[Inlet] = Counter()
        for source, group in self._readings.items():
            accepted[source.inlet] += len(group)
        for inlet, count in accepted.items():
            tally.accepted(inlet, count)
        for inlet, kind in self._kinds:
            tally.rejected(inlet, kind)
        for reason in self._dropped:
            tally.dropped(reason)


def _source_of(arrival: Arrival) -> Source:
    device = arrival.device or id_from_name(arrival.provider or NOWHERE)
    return Source(device, arrival.inlet, arrival.provider)


def _raw(reading: Measurement, received_at: datetime, text: str) -> RawReading:
    return RawReading(
        measured_at=reading.measured_at,
        received_at=received_at,
        values=reading.values,
        logged_at=reading.logged_at,
        problems=reading.problems,
        payload=text,
    )


def _text_of(payload: bytes, item: Any) -> str:
    """A payload that is one reading, as it came; MessagePack as JSON."""
    return payload.decode("utf-8", "replace") if payload[:1] in (b"{", b"[") else text_of(item)
