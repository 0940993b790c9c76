"""The shell around every service: settings in, logs, metrics and health out, signals, supervised parts, ordered stop.

A service's `main` reads as a list:

    async def build(service: Service) -> None:
        settings = Settings()
        ledger = SqlLedger(await open_engine(settings))
        service.part("ledger", check=ledger.ping, stop=ledger.close)
        service.first("tables", ledger.bring_up_to_date)

        bus = MqttBus(settings, "processor", on_poison=reject, metrics=service.bus_metrics)
        bus.subscribe(Subscription((TELEMETRY_RAW.filter(shared="processor"),), handlers.take_raw, name="raw"))
        service.part("bus", run=bus.run, check=bus.check)

        service.part("projection", run=projector.run, restart=True)

    def main() -> None:
        run("processor", ServiceSettings(), build)

Parts start in this order and stop in the reverse. One that has an application of its own says
`service.serve(app, host, port)` where the others are silent, and gets the health and metrics routes on that port.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import uvloop
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from caudal.common import logs
from caudal.common.adapters.http_server import HttpServer, NotYet, health_app, health_routes
from caudal.common.metrics import BusMetrics
from caudal.common.settings import ServiceSettings
from caudal.common.steps import Step, after
from caudal.common.supervision import Part, PartMetrics

STOP_S = 25.0
"""After so long a service that was told to stop ends, whatever its parts still do."""
REPORT_S = 1.0
"""For how long one readiness report answers everybody who asks."""
RED_REPORT_S = 0.1
"""The same for a report that says no: who asks waits for it to change, most of all at the start."""

_log = structlog.get_logger(__name__)


class Service:
    """What is running under one name: its parts, their health, its metrics."""

    def __init__(self, name: str, settings: ServiceSettings, on_stopping: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.registry = CollectorRegistry()
        """Of this service; add your own counters to it."""
        self.bus_metrics = BusMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.server: HttpServer | None = None
        """Where health and metrics are served, once built."""
        self._settings = settings
        self._on_stopping = on_stopping
        self._part_metrics = PartMetrics(self.registry)
        self._parts: list[Part] = []
        self._steps: tuple[Step, ...] = ()
        self._ending = asyncio.Event()
        self._failed = False
        self._report: dict[str, Any] = {}
        self._report_at = -REPORT_S
        self._reporting = asyncio.Lock()

    def part(
        self,
        name: str,
        *,
        run: Callable[[], Awaitable[None]] | None = None,
        check: Callable[[], Awaitable[object]] | None = None,
        stop: Callable[[], Awaitable[object]] | None = None,
        restart: bool = False,
    ) -> None:
        """Add a part, to be started after those added before it and stopped before them.

        Args:
            name: Unique; as logs, metrics and readiness show it.
            run: Works until cancelled; finishes what it has in hand then. Returning means it has nothing more to do.
            check: Returns (details for readiness, or None) if the part is well, raises if not; cut off after 2 s.
            stop: Releases what the part holds, once its `run` has ended.
            restart: Whether `run` is tried again, with back-off, when it fails; if not, the service ends with code 1.
        """
        if any(part.name == name for part in self._parts):
            raise ValueError(f"a part named {name!r} is there already")
        run = after(self._steps, run) if run is not None else None
        self._parts.append(Part(name, self._part_metrics, run=run, check=check, stop=stop, restart=restart))

    def first(self, name: str, do: Callable[[], Awaitable[object]]) -> None:
        """Have something done before the parts run that are added from now on.

        What it needs may be away: it is tried again until it is there, and meanwhile the service lives and is not
        ready. Any other failure ends the service.
        """
        step = Step(name, do)
        self.part(name, run=step.run, check=step.check)
        self._steps = (*self._steps, step)

    def serve(self, app: Any, host: str, port: int, *, metrics_path: str = "/metrics") -> HttpServer:
        """Serve a FastAPI or Starlette application, with the health and metrics routes, instead of the health port.

        Until what is to be done `first` is done, these routes alone are served; the others ask for patience.
        """
        routes = health_routes(self.readiness, self.registry, metrics_path)
        app.router.routes[:0] = routes
        self.server = HttpServer(NotYet(app, self._has_begun, {route.path for route in routes}), host, port)
        self._parts.append(Part("http", self._part_metrics, run=self.server.run))
        return self.server

    def _has_begun(self) -> bool:
        return all(step.over.is_set() for step in self._steps)

    async def readiness(self) -> dict[str, Any]:
        """`{"service", "ready", "parts": {name: {"ok", "detail"}}}`; a report serves everybody for a second."""
        async with self._reporting:
            lasts_s = REPORT_S if self._report.get("ready") else min(REPORT_S, RED_REPORT_S)
            if time.monotonic() - self._report_at >= lasts_s:
                states = await asyncio.gather(*(part.state() for part in self._parts))
                parts = {part.name: state for part, state in zip(self._parts, states, strict=True)}
                ready = all(state["ok"] for state in states) and not self._ending.is_set()
                self._report = {"service": self.name, "ready": ready, "parts": parts}
                self._report_at = time.monotonic()
            return self._report

    def end(self) -> None:
        """Stop in order and return from `run`."""
        if not self._ending.is_set():
            self._ending.set()
            self._on_stopping()

    async def run(self, build: Callable[["Service"], Awaitable[None]]) -> int:
        """Build, start every part, wait for the end, stop every part; the exit code."""
        try:
            if not await self._built(build):
                return 0
            if self.server is None:
                self._serve_health()
            for part in self._parts:
                part.start(self._on_failure)
            _spare_the_collector()
            _log.info("started", parts=[part.name for part in self._parts])
            await self._ending.wait()
        except Exception:  # noqa: BLE001 - whatever it is, what has been opened is closed in order
            _log.exception("cannot start")
            self._failed = True
        finally:
            self.end()
            await self._stop_parts()
        return 1 if self._failed else 0

    async def _built(self, build: Callable[["Service"], Awaitable[None]]) -> bool:
        """Whether `build` came to its end before the service was told to stop."""
        building = asyncio.ensure_future(build(self))
        ending = asyncio.create_task(self._ending.wait(), name="ending")
        await asyncio.wait([building, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not building.done():
            building.cancel()
            await asyncio.wait([building], timeout=STOP_S)
            return False
        building.result()
        return True

    def _serve_health(self) -> None:
        app = health_app(health_routes(self.readiness, self.registry))
        self.server = HttpServer(app, self._settings.health_host, self._settings.health_port)
        self._parts.insert(0, Part("health", self._part_metrics, run=self.server.run))

    def _on_failure(self, part: Part, error: BaseException) -> None:
        _log.error("service ends", because_of=part.name, reason=str(error))
        self._failed = True
        self.end()

    async def _stop_parts(self) -> None:
        _log.info("stopping")
        for part in reversed(self._parts):
            self._failed |= not await part.stop()
        _log.info("stopped", failed=self._failed)


def run(name: str, settings: ServiceSettings, build: Callable[[Service], Awaitable[None]]) -> None:
    """Run a service until SIGTERM or SIGINT; exits with 1 if it could not start, or a part failed for good."""
    logs.configure(name, settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_until_signalled(name, settings, build))
    if code:
        sys.exit(code)


async def _until_signalled(name: str, settings: ServiceSettings, build: Callable[[Service], Awaitable[None]]) -> int:
    service = Service(name, settings, on_stopping=_end_at_the_latest)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.end)
    return await service.run(build)


def _spare_the_collector() -> None:
    """Let the garbage collector look less often, and not at what was there at the start.

    A batch makes tens of thousands of small objects that die by their reference counts; the collector's searches
    for cycles among them cost a third of the processor's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _end_at_the_latest() -> None:
    """End the process in `STOP_S` seconds, even if a part swallows its cancellation or a thread hangs."""
    latest = threading.Timer(STOP_S, os._exit, [1])
    latest.daemon = True
    latest.start()
