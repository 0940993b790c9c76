"""What is stored follows from the set of readings: not from their order, their repetition, or who took them in."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audit import series_of
from buses import PATIENCE_S, producer
from caudal.common.bus.codec import encode
from caudal.common.bus.messages import RawReading, RawReadings
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Outgoing
from figures import tell
from servers.influx import Influx1
from servers.installation import Installation, metered_point
from servers.postgres import Postgres
from servers.service import Service

DEVICES = [f"unit-{number}" for number in range(4)]
WINDOW = 50
RECEIVED = 'caudal_bus_received_total{subscription="raw"}'
BEGINNING = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)


def reading(number: int, total: float, received_s: float = 0) -> RawReading:
    """What was measured at minute `number`."""
    received_at = BEGINNING + timedelta(days=1, seconds=received_s)
    return RawReading(
        measured_at=BEGINNING + timedelta(minutes=number), received_at=received_at, values={"total": total}
    )


def window(device: str, chance: random.Random) -> list[Outgoing]:
    """A meter's window with a restart, a wrong count, jitter, a silent hour, and values that were corrected later."""
    count, readings = 10_000.0, []
    restart, glitch, jitter, silence = (chance.randrange(5, WINDOW - 5) for _ in range(4))
    for number in range(WINDOW):
        count = 3.0 if number == restart else count + chance.randrange(9)
        said = 0.0 if number == glitch else count - 1 if number == jitter else count
        readings.append(reading(number + 60 * (number > silence), said))
    corrected = chance.sample(readings, 3)
    readings += [
        RawReading(
            measured_at=old.measured_at,
            received_at=old.received_at + timedelta(hours=1),
            values={"total": old.values["total"] + 1},
        )
        for old in corrected
    ]
    bundles = [
        RawReadings(device=device, inlet=Inlet.WINDOW, window="w", source_format="csv", readings=[one])
        for one in readings
    ]
    return [Outgoing(f"telemetry/{device}/raw", encode(bundle)) for bundle in bundles]


async def take_in(site: Installation, processors: Sequence[str], messages: Sequence[Outgoing], raw: int) -> None:
    """Have these processors take these messages in, `raw` of them different, and tell what follows."""
    await site.add_points([metered_point(device) for device in DEVICES])
    await asyncio.to_thread(site.start, *processors)
    async with producer(site.broker.port) as bus:
        await bus.publish(messages)
    progress = "select (select count(*) from processor_raw) as raw, (select count(*) from processor_outbox) as waiting"
    async with asyncio.timeout(PATIENCE_S):
        while tuple((await site.query(progress))[0]) != (raw, 0):
            await asyncio.sleep(0.1)


async def tables_of(site: Installation) -> dict[str, Any]:
    """All that is stored, byte for byte; raw readings have no order."""
    stored: dict[str, Any] = {
        table: [tuple(row) for row in await site.query(f"select * from processor_{table} order by 1, 2")]
        for table in ("rows", "heads", "window_rows")
    }
    stored["raw"] = {tuple(row) for row in await site.query("select * from processor_raw")}
    return stored | {"series": series_of(site.influx, site.bucket)}


def deliveries_taken(service: Service) -> int:
    """How many raw messages a processor has taken."""
    [line] = [line for line in service.metrics().splitlines() if line.startswith(RECEIVED)]
    return int(float(line.rpartition(" ")[2]))


async def test_shuffled_and_repeated_window_over_three_replicas_ends_in_the_same_tables(
    tmp_path: Path, postgres: Postgres, influx1: Influx1, tables: str
) -> None:
    chance = random.Random(9)
    in_order = [message for device in DEVICES for message in window(device, chance)]
    shuffled = in_order + chance.sample(in_order, len(in_order) // 10)
    chance.shuffle(shuffled)
    stored = []
    for name, processors, messages in (
        ("one", ["processor"], in_order),
        ("three", ["processor-1", "processor-2", "processor-3"], shuffled),
    ):
        site = Installation(tmp_path / name, postgres, influx1, postgres.database(tables))
        try:
            await take_in(site, processors, messages, len(in_order))
            taken = [deliveries_taken(service) for service in site.services.values()]
            await asyncio.to_thread(site.stop)  # in order: what is still on its way is settled
            stored.append(await tables_of(site))
        finally:
            site.stop()
    one, three = stored
    resets = str(one["rows"]).count("ZERO_TOTAL_RESET")
    tell(
        "shuffled over three replicas", readings=len(in_order), sent=len(shuffled), rows=len(one["rows"]),
        resets=resets, taken_by_each=taken,
    )  # fmt: skip
    assert resets
    assert all(taken)
    for table in one:
        assert three[table] == one[table], table
