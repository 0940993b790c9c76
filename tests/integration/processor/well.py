"""A well with a pulse meter, its readings, and what can be seen of them in the ledger and on the bus."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.bus import codec
from caudal.common.bus.messages import Alert, ProcessedReadings, RawReading, RawReadings
from caudal.common.bus.topics import TELEMETRY_ALERT, TELEMETRY_PROCESSED
from caudal.common.domain.catalog import Counter, Point, PulseMeter, Variable, VariableType, Version
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Outgoing
from caudal.processor.adapters.sql_ledger import SqlLedger

NOW = datetime(2026, 3, 30, tzinfo=UTC)
START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def point(pulses_per_liter: float = 0.1, **settings: Any) -> Point:
    """A well with a pulse meter."""
    counter = Counter(meter=PulseMeter(pulses_per_liter=pulses_per_liter))
    total = Variable(code="total", type=VariableType.TOTALIZER, counter=counter)
    return Point(**{"code": "WELL-1", "device": "meter-1", "variables": (total,)} | settings)


def reading(hour: float, received: float | None = None, **values: float) -> RawReading:
    """Measured so many hours after the start, received as many, or as said, after now."""
    received_at = NOW + HOUR * (hour if received is None else received)
    return RawReading(measured_at=START + hour * HOUR, received_at=received_at, values=values, payload="{}")


def bundle(*readings: RawReading, device: str = "meter-1", inlet: Inlet = Inlet.UPLINK) -> RawReadings:
    return RawReadings(device=device, inlet=inlet, readings=list(readings))


class Listener:
    """A bus that keeps what is said."""

    def __init__(self) -> None:
        self.incarnation = 1
        self.processed: list[ProcessedReadings] = []
        self.alerts: list[Alert] = []

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if TELEMETRY_PROCESSED.parse(message.topic):
                self.processed.append(codec.decode(message.payload, ProcessedReadings))
            if TELEMETRY_ALERT.parse(message.topic):
                self.alerts.append(codec.decode(message.payload, Alert))


async def totals(ledger: SqlLedger, code: str = "WELL-1") -> list[float | None]:
    async with ledger.unit() as unit:
        return [row.processed["total"].value for row in await unit.rows(code, START)]


async def statuses(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        counted = await connection.execute(text("select status, count(*) from ledger_raw group by status"))
        return {row[0]: row[1] for row in counted}


def changed_at(hour: float, before: float, after: float) -> Point:
    """A well whose pulse constant changed so many hours after the start."""
    earlier = Version(valid_until=START + hour * HOUR, sampling_minutes=60, variables=point(before).variables)
    return point(after, earlier=(earlier,))
