"""The read path of the API, measured: mixed reads at a steady rate, and charts.

Starts real Mosquitto, PostgreSQL and InfluxDB 1.x and gateway-api, fills points through the processor's own handlers,
and asks open-loop: a request is due whether or not the one before it is answered, and its latency counts from then on.
Load and servers share one machine: trust CPU per request more than rates.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop
from rich.console import Console
from rich.table import Table

from caudal.common.adapters.sql import open_engine
from caudal.common.adapters.sql_catalog import SqlCatalog
from caudal.common.adapters.store import open_store
from caudal.common.bus.messages import RawReading, RawReadings, Rejected
from caudal.common.domain.readings import Inlet
from caudal.common.ports import SeriesRow
from caudal.common.settings import SqlSettings, StoreSettings
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.handlers.readings import Desk, keep
from caudal.processor.handlers.telling import store_teller
from caudal.processor.handlers.upkeep import keep_rejected
from servers.platform import Platform

POINTS = 200
READINGS = 96
"""Of each point: two days, one in half an hour."""
STEP = timedelta(minutes=30)
CHART_INSTANTS = 100_000
CHARTED = "point-0"
CHART_STEP = timedelta(minutes=1)
CONNECTIONS = 64
MIX = {
    "points, with search": "/api/points/?search=point-{n}&page_size=20",
    "point": "/api/points/point-{n}",
    "data, a day by hours": "/api/telemetry/data/?point=point-{n}&every=1h&function=mean",
    "data, samples": "/api/telemetry/data/?point=point-{n}&limit=100",
    "raw": "/api/telemetry/raw/?point=point-{n}&limit=50",
    "rejected": "/api/telemetry/rejected/?device=meter-{n}&limit=20",
    "summary": "/api/telemetry/summary/?point=point-{n}",
    "me": "/api/auth/me",
}


@dataclass
class Figures:
    """What one run gives."""

    offered_per_s: int
    achieved_per_s: float
    """Answered with 200, from the first request to the last answer."""
    refused: int
    """Answered otherwise."""
    p50_ms: float
    p99_ms: float
    p99_ms_by_kind: dict[str, float]
    cpu_us_per_request: int
    """Of gateway-api alone."""
    chart_ms: dict[str, float]
    """100,000 instants by format and number of variables; the median of several."""
    peak_memory_mb: float


class Line:
    """One kept connection that asks and reads whole answers; as little as HTTP needs, so that it takes little CPU."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._ask = f"Host: bench\r\nAuthorization: Bearer {token}\r\n\r\n"

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def get(self, path: str) -> int:
        """The status, once the whole answer is here."""
        self._writer.write(f"GET {path} HTTP/1.1\r\n{self._ask}".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if length:
            await self._reader.readexactly(int(length))
        else:
            while await self._chunk():
                pass
        return int(head[9:12])

    async def _chunk(self) -> int:
        size = int(await self._reader.readline(), 16)
        await self._reader.readexactly(size + 2)
        return size


async def fill(platform: Platform, now: datetime) -> None:
    """Readings of two days for every point, some rejected payloads, and two variables of a chart."""
    settings = {name.lower().removeprefix("caudal_"): value for name, value in platform.gateway.settings.items()}
    engine = open_engine(SqlSettings(database_url=settings["database_url"]))
    chosen = {name: settings[name] for name in ("store", "influx_url", "influx_bucket")}
    async with open_store(StoreSettings(**chosen, INFLUX_API="1")) as store, aclosing(SqlLedger(engine)) as ledger:
        desk = Desk(ledger, SqlCatalog(engine))
        for number in range(1, POINTS):
            await keep(desk, [_two_days(number, now)])
            await keep_rejected(ledger, [_rejected(number, i, now) for i in range(3)])
        teller = store_teller(ledger, store, time.monotonic)
        while await teller.step():
            pass
        begin = now - CHART_INSTANTS * CHART_STEP
        rows = [
            SeriesRow(CHARTED, begin + i * CHART_STEP, {"total": 1000.0 + i / 7, "flow": float(i % 97) + 0.25})
            for i in range(CHART_INSTANTS)
        ]
        await store.write(rows)
    await engine.dispose()


def _two_days(number: int, now: datetime) -> RawReadings:
    begin = now - READINGS * STEP
    readings = [
        RawReading(
            measured_at=begin + i * STEP,
            received_at=begin + i * STEP,
            values={"total": 1000 + i * 60, "flow": 100.0},
            payload=json.dumps({"total": 1000 + i * 60, "flow": 100.0}),
        )
        for i in range(READINGS)
    ]
    return RawReadings(device=f"meter-{number}", inlet=Inlet.UPLINK, readings=readings)


def _rejected(number: int, i: int, now: datetime) -> Rejected:
    return Rejected(
        id=f"r-{number}-{i}",
        device=f"meter-{number}",
        received_at=now - timedelta(hours=i),
        inlet=Inlet.UPLINK,
        topic=f"telemetry/meter-{number}/uplink",
        reason="is no JSON",
        field="payload",
        payload="{nonsense",
    )


async def steady(port: int, token: str, rate: int, seconds: float) -> tuple[list[tuple[str, float]], int, float]:
    """(kind, latency in ms) of each answer, how many were no 200, and the seconds that it all took."""
    free: asyncio.Queue[Line] = asyncio.Queue()
    asked = list(islice(cycle(MIX.items()), int(rate * seconds)))
    latencies: list[tuple[str, float]] = []
    refused = 0

    async def ask(kind: str, path: str, due: float) -> None:
        nonlocal refused
        line = await free.get()
        status = await line.get(path)
        free.put_nowait(line)
        latencies.append((kind, (time.perf_counter() - due) * 1e3))
        refused += status != 200

    async with _lines(port, token, free), asyncio.TaskGroup() as asking:
        begun = time.perf_counter()
        for number, (kind, path) in enumerate(asked):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asking.create_task(ask(kind, path.format(n=1 + number // len(MIX) % (POINTS - 1)), due))
    return latencies, refused, time.perf_counter() - begun


class _lines:
    """Connections, free to be used."""

    def __init__(self, port: int, token: str, free: asyncio.Queue[Line]) -> None:
        self._all = [Line(port, token) for _ in range(CONNECTIONS)]
        self._free = free

    async def __aenter__(self) -> None:
        for line in self._all:
            self._free.put_nowait(await line.__aenter__())

    async def __aexit__(self, *error: object) -> None:
        for line in self._all:
            await line.__aexit__(*error)


async def charts(port: int, token: str, now: datetime) -> dict[str, float]:
    """Median ms of the whole chart, by format and variables."""
    begin = (now - CHART_INSTANTS * CHART_STEP).strftime("%Y-%m-%dT%H:%M:%SZ")
    chart = f"/api/telemetry/data/?point={CHARTED}&from={begin}&limit={CHART_INSTANTS}"
    took: dict[str, float] = {}
    async with Line(port, token) as line:
        for kind in ("json", "csv", "parquet"):
            for variables in ("flow", "flow,total"):
                found = []
                for _ in range(5):
                    begun = time.perf_counter()
                    assert await line.get(f"{chart}&format={kind}&variables={variables}") == 200
                    found.append((time.perf_counter() - begun) * 1e3)
                took[f"{kind}, {len(variables.split(','))}"] = round(statistics.median(found), 0)
    return took


async def measure(platform: Platform, arguments: argparse.Namespace) -> Figures:
    """All phases, one after the other."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    await fill(platform, now)
    port, token = platform.gateway.port, platform.token
    await steady(port, token, 100, 2)
    before = platform.gateway.cpu_s()
    latencies, refused, seconds = await steady(port, token, arguments.rate, arguments.seconds)
    cpu_s = platform.gateway.cpu_s() - before
    by_kind = {kind: sorted(ms for of, ms in latencies if of == kind) for kind in MIX}
    every = sorted(ms for _, ms in latencies)
    return Figures(
        offered_per_s=arguments.rate,
        achieved_per_s=round((len(latencies) - refused) / seconds, 1),
        refused=refused,
        p50_ms=round(statistics.median(every), 1),
        p99_ms=round(_p99(every), 1),
        p99_ms_by_kind={kind: round(_p99(found), 1) for kind, found in by_kind.items()},
        cpu_us_per_request=round(cpu_s / len(latencies) * 1e6),
        chart_ms=await charts(port, token, now),
        peak_memory_mb=round(platform.gateway.peak_memory_mb()),
    )


def _p99(ascending: list[float]) -> float:
    return ascending[int(len(ascending) * 0.99)]


def show(figures: Figures) -> None:
    """As a table, beside the aims."""
    table = Table("figure", "measured", "aim")
    rows: list[tuple[str, Any, str]] = [
        ("mixed reads answered, of those offered, 1/s", f"{figures.achieved_per_s} of {figures.offered_per_s}", "500"),
        ("answers that are no 200", figures.refused, "0"),
        ("latency p50, ms", figures.p50_ms, ""),
        ("latency p99, ms", figures.p99_ms, "< 50"),
        *((f"  {kind}, p99", ms, "") for kind, ms in figures.p99_ms_by_kind.items()),
        ("CPU of gateway-api, µs/request", figures.cpu_us_per_request, ""),
        *(
            # A chart is drawn from JSON; the others are files for people to keep.
            (f"chart of 100,000 instants, {kind} variable(s), ms", ms, "< 300" if kind.startswith("json") else "")
            for kind, ms in figures.chart_ms.items()
        ),
        ("peak memory of gateway-api, MB", figures.peak_memory_mb, ""),
    ]
    for name, value, aim in rows:
        table.add_row(name, str(value), aim)
    Console().print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500, help="requests per second")
    parser.add_argument("--seconds", type=int, default=15, help="length of the steady phase")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caudal-bench-")))
        platform = stack.enter_context(Platform(folder, devices=POINTS, processors=0))
        figures = uvloop.run(measure(platform, arguments))
    if arguments.json:
        print(json.dumps(asdict(figures)))
    else:
        show(figures)


if __name__ == "__main__":
    main()
