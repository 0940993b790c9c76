"""What became of the readings that a fleet sent: the ledger, the series and the events, held against one another."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from asyncpg import PostgresError

from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import ProcessedReadings, ProcessedValue
from caudal.common.bus.topics import TELEMETRY_PROCESSED
from caudal.common.ports import Delivery, Subscription
from caudal.common.settings import MqttSettings
from fleet import Fleet, Reading
from servers.influx import Influx1
from servers.installation import Installation

Instant = tuple[str, datetime]
"""Point and time of measurement."""
PATIENCE_S = 120.0
"""After so long what is not there will not come."""
Values = Mapping[str, ProcessedValue]

_processed = msgspec.json.Decoder(dict[str, ProcessedValue])


class Witness:
    """Somebody who listens to processed readings and keeps the last word on each."""

    def __init__(self, port: int) -> None:
        self.heard: dict[Instant, Values] = {}
        self.told_again = 0
        """Readings heard once more as they were: after a crash what may not have been told is told twice."""
        self.bus = MqttBus(MqttSettings(mqtt_port=port), "witness")
        self.bus.subscribe(Subscription((TELEMETRY_PROCESSED.filter(),), self._hear))

    async def _hear(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            told = decode(delivery.payload, ProcessedReadings)
            for reading in told.readings:
                instant = (told.point, reading.measured_at)
                self.told_again += self.heard.get(instant) == reading.values
                self.heard[instant] = reading.values


@dataclass
class Audit:
    """Figures, and examples of what is wrong."""

    sent: int
    acknowledged: int
    stored: int = 0
    told_again: int = 0
    """Processed readings that were heard twice."""
    again: int = 0
    """Deliveries of a reading that was there already: kept as SKIPPED, standing nowhere."""
    missing: list[Reading] = field(default_factory=list)
    """Acknowledged by the broker and not in the ledger, or not in the raw archive."""
    doubled: list[Any] = field(default_factory=list)
    """Counted more than once: more than one raw reading of an instant stands, or a total that is not what was sent."""
    unexpected: list[Instant] = field(default_factory=list)
    """In the ledger and never sent."""
    series: list[Instant] = field(default_factory=list)
    """Instants at which the series is not what the ledger says."""
    events: list[Instant] = field(default_factory=list)
    """Instants of which the last event heard is not what the ledger says."""
    waiting: int = 0
    """What the processor has yet to tell."""

    @property
    def faults(self) -> dict[str, Any]:
        """Whatever is not as it should be: how many, and the first of them."""
        lists = ("missing", "doubled", "unexpected", "series", "events")
        found = {name: (len(getattr(self, name)), getattr(self, name)[:3]) for name in lists if getattr(self, name)}
        return found | ({"waiting": self.waiting} if self.waiting else {})

    @property
    def figures(self) -> dict[str, int]:
        """What is shown."""
        shown = {"sent": self.sent, "acknowledged": self.acknowledged, "stored": self.stored}
        counts = {name: len(getattr(self, name)) for name in ("missing", "doubled", "unexpected")}
        wrong = {"series_wrong": len(self.series), "events_wrong": len(self.events)}
        return shown | counts | {"delivered_again": self.again, "told_again": self.told_again} | wrong


async def audit(site: Installation, fleet: Fleet, witness: Witness) -> Audit:
    """Hold everything against everything, as it is now."""
    found = Audit(fleet.sent, len(fleet.acknowledged), told_again=witness.told_again)
    raw = await site.query("select device, measured_at, status from processor_raw")
    rows = await site.query("select point, measured_at, processed_json from processor_rows")
    ledger = {(row["point"], row["measured_at"]): _processed.decode(row["processed_json"]) for row in rows}
    standing = Counter((row["device"], row["measured_at"]) for row in raw if row["status"] == "COMPLETED")
    found.stored, found.again = len(ledger), len(raw) - sum(standing.values())
    found.missing = [
        (device, number)
        for device, number in fleet.acknowledged
        if (f"P-{device}", fleet.at(number)) not in ledger or (device, fleet.at(number)) not in standing
    ]
    found.doubled = [instant for instant, count in standing.items() if count > 1]
    found.doubled += [instant for instant, values in ledger.items() if not _as_sent(fleet, instant, values)]
    last = -(-fleet.sent // len(fleet.devices))
    points = {f"P-{device}" for device in fleet.devices}
    found.unexpected = [(point, at) for point, at in ledger if point not in points or not 0 <= fleet.number(at) < last]
    series = await asyncio.to_thread(series_of, site.influx, site.bucket)
    found.series = _different({instant: _numbers(values) for instant, values in ledger.items()}, series)
    found.events = _different(ledger, witness.heard)
    [waiting] = await site.query("select count(*) as entries from processor_outbox")
    found.waiting = waiting["entries"]
    return found


async def settled(site: Installation, fleet: Fleet, witness: Witness, patience_s: float = PATIENCE_S) -> Audit:
    """The audit once all is well and nothing is on its way; or as it is after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        found = await quiet(site, fleet, witness, deadline, at_least=len(fleet.acknowledged))
        if not found.faults or time.monotonic() > deadline:
            return found


async def quiet(
    site: Installation, fleet: Fleet, witness: Witness, deadline: float = math.inf, at_least: int = 0
) -> Audit:
    """The audit once nothing has moved for a second, all services are ready, and there are so many raw readings."""
    deadline = min(deadline, time.monotonic() + PATIENCE_S)
    before: tuple[int, ...] = ()
    while time.monotonic() < deadline:
        now = await _progress(site)
        if now and now == before and now[0] >= at_least and now[1] == 0 and await asyncio.to_thread(site.is_ready):
            break
        before = now
        await asyncio.sleep(1)
    return await audit(site, fleet, witness)


async def _progress(site: Installation) -> tuple[int, ...]:
    """How many raw readings there are, and entries that wait to be told; nothing while the database is away."""
    counts = "select (select count(*) from processor_raw), (select count(*) from processor_outbox)"
    try:
        return tuple((await site.query(counts))[0])
    except (PostgresError, OSError, TimeoutError):
        return ()


def series_of(influx: Influx1, bucket: str) -> dict[Instant, dict[str, float]]:
    """Everything in a bucket of the telemetry store and in its archive."""
    found: dict[Instant, dict[str, float]] = {}
    for database in (f"{bucket}_archive", bucket):
        answer = json.loads(influx.query('select * from "telemetry" group by "point"', database))
        for table in answer["results"][0].get("series", []):
            for at, *values in table["values"]:
                fields = zip(table["columns"][1:], values, strict=True)
                numbers = {code: value for code, value in fields if value is not None and code != "provider"}
                found[(table["tags"]["point"], datetime.fromisoformat(at))] = numbers
    return found


def _numbers(values: Values) -> dict[str, float]:
    return {code: value.value for code, value in values.items() if value.value is not None}


def _as_sent(fleet: Fleet, instant: Instant, values: Values) -> bool:
    """Whether a row says what its device said, in the units of the ledger."""
    expected, stored = fleet.stored(fleet.number(instant[1])), _numbers(values)
    return stored.keys() == expected.keys() and all(math.isclose(stored[code], expected[code]) for code in expected)


def _different(left: Mapping[Instant, Any], right: Mapping[Instant, Any]) -> list[Instant]:
    return [instant for instant in left.keys() | right.keys() if left.get(instant) != right.get(instant)]
