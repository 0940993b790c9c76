"""The composition root: what the processor is made of."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from functools import partial

from prometheus_client import Counter

from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.adapters.sql import migrate, migrated, open_engine, ping
from caudal.common.adapters.sql_catalog import CachedCatalog, SqlCatalog
from caudal.common.adapters.store import open_store
from caudal.common.ports import Clock, Delivery, TelemetryStore
from caudal.common.service import Service, run
from caudal.common.settings import MqttSettings, ServiceSettings, SqlSettings, StoreSettings
from caudal.processor.adapters.sql_ledger import SqlLedger
from caudal.processor.adapters.sql_records import SqlRecordBook, SqlSchemas
from caudal.processor.adapters.sql_silences import SqlSilences
from caudal.processor.entrypoints.bus import BusEntrypoint
from caudal.processor.entrypoints.loops import Relay, every
from caudal.processor.entrypoints.schemas import SchemaEntrypoint
from caudal.processor.handlers.readings import Desk
from caudal.processor.handlers.recording import RecordDesk, record_teller, review
from caudal.processor.handlers.telling import bus_teller, store_teller
from caudal.processor.handlers.upkeep import cap, rebuild, tidy
from caudal.processor.handlers.vigil import Vigil
from caudal.processor.settings import ProcessorSettings

NAME = "processor"
VERSION_TABLE = "alembic_version_processor"


async def build(service: Service) -> None:
    """Settings, adapters, handlers, entrypoints, parts."""
    settings, sql, mqtt = ProcessorSettings(), SqlSettings(), MqttSettings()
    clock = SystemClock()
    told = Counter(
        "caudal_processor_told", "What was committed and is told: by sink", ["sink"], registry=service.registry
    )

    engine = open_engine(sql)
    service.part("database", check=partial(ping, engine), stop=engine.dispose)
    if ServiceSettings().migrate:
        service.first("tables", bring_up_to_date)
    stack = AsyncExitStack()
    store = await stack.enter_async_context(open_store(StoreSettings(), clock))
    service.part("store", check=store.ping, stop=stack.aclose)
    ledger, catalog = SqlLedger(engine, is_alone=not mqtt.mqtt_shared), CachedCatalog(SqlCatalog(engine))
    service.part("ledger", stop=ledger.aclose)

    async def put_away(delivery: Delivery, reason: str) -> None:
        await entrypoint.put_away(delivery, reason)

    bus = MqttBus(mqtt, NAME, on_poison=put_away, metrics=service.bus_metrics)
    to_store = store_teller(ledger, store, time.monotonic)
    to_bus = bus_teller(ledger, bus, time.monotonic, bus.incarnation)
    projection = Relay("store", to_store, told, settings.store_linger_s)
    events = Relay("bus", to_bus, told, settings.events_linger_s)
    recording = RecordDesk(SqlRecordBook(engine), ledger, SqlSchemas(engine), catalog, bus, clock)
    to_records = record_teller(recording, time.monotonic)
    records = Relay("records", to_records, told, settings.records_linger_s)

    def nudge() -> None:
        projection.nudge()
        events.nudge()
        records.nudge()

    # SQLite has one writer at a time anyway.
    lanes = settings.lanes if engine.dialect.name == "postgresql" else 1
    vigil = Vigil(SqlSilences(engine))
    about_records = partial(review, recording)
    entrypoint = BusEntrypoint(Desk(ledger, catalog), catalog, bus, clock, nudge, lanes, about_records, vigil.begin)
    schemas = SchemaEntrypoint(recording, entrypoint.quiet, nudge)
    bus.subscribe(schemas.subscription(mqtt.mqtt_shared))
    for subscription in entrypoint.subscriptions(settings.linger_s, mqtt.mqtt_shared):
        bus.subscribe(subscription)

    service.part("projection", run=projection.run, check=projection.check, restart=True)
    service.part("events", run=events.run, check=events.check, restart=True)
    service.part("records", run=records.run, check=records.check, restart=True)
    service.part("bus", run=bus.run, check=bus.check)
    # What comes before it is noted as if there were schemas.
    service.first("schemas", schemas.start)
    add_upkeep(service, settings, ledger, catalog, store, clock)
    add_vigil(service, settings, vigil, bus, entrypoint, clock)


def add_upkeep(
    service: Service,
    settings: ProcessorSettings,
    ledger: SqlLedger,
    catalog: CachedCatalog,
    store: TelemetryStore,
    clock: Clock,
) -> None:
    """What is done from time to time to keep things small."""

    async def enforce_caps() -> int:
        return await cap(ledger, catalog, store, settings.max_rows_per_unit, clock.now())

    async def tidy_up() -> dict[str, int]:
        return await tidy(ledger, store, clock.now())

    service.part("caps", run=partial(every, settings.cap_every_s, "caps", enforce_caps), restart=True)
    service.part("tidy", run=partial(every, settings.tidy_every_s, "tidy", tidy_up), restart=True)


def add_vigil(
    service: Service, settings: ProcessorSettings, vigil: Vigil, bus: MqttBus, entrypoint: BusEntrypoint, clock: Clock
) -> None:
    """Who looks for silent points, as long as the bus is there to be heard."""

    async def look_around() -> dict[str, int]:
        await bus.check()
        # Who starts, or works off what waited in the broker, has not heard what was said meanwhile.
        has_heard = entrypoint.has_caught_up(timedelta(seconds=settings.silence_every_s))
        return await vigil.look(clock.now(), may_begin=has_heard)

    service.part("silence", run=partial(every, settings.silence_every_s, "silence", look_around), restart=True)


def serve() -> None:
    """Run the service until it is told to stop."""
    run(NAME, ServiceSettings(), build)


async def bring_up_to_date() -> None:
    """Make or change the processor's tables."""
    engine = open_engine(SqlSettings())
    try:
        await migrate(engine, "caudal.processor", VERSION_TABLE)
    finally:
        await engine.dispose()


async def rebuild_store(report: Callable[[str, int], None]) -> int:
    """Write the telemetry store anew from the ledger, reporting (point, rows) as it goes; how many rows."""
    engine = open_engine(SqlSettings())
    written = 0
    try:
        await migrated(engine, VERSION_TABLE)
        async with open_store(StoreSettings(), SystemClock()) as store, aclosing(SqlLedger(engine)) as ledger:
            async for point, rows in rebuild(ledger, store):
                report(point, rows)
                written += rows
    finally:
        await engine.dispose()
    return written
