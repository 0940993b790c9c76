"""Composition root: the service, and the command that loads a file."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.adapters.sealing import open_sealer
from caudal.common.adapters.sql import migrate, open_engine, ping
from caudal.common.adapters.sql_catalog import CachedCatalog, SqlCatalog
from caudal.common.domain.catalog import Provider
from caudal.common.domain.errors import Transient
from caudal.common.domain.ids import id_from_name
from caudal.common.ports import Clock, Publisher
from caudal.common.service import Service, run
from caudal.common.settings import CredentialSettings, MqttSettings, ServiceSettings, SqlSettings
from caudal.ingest.adapters.job_files import JobFiles
from caudal.ingest.adapters.metrics import PrometheusTally
from caudal.ingest.adapters.pacing import HostPace
from caudal.ingest.adapters.parquet_frames import Limits
from caudal.ingest.adapters.patient_catalog import PatientCatalog, PatientFleet
from caudal.ingest.adapters.provider_clients import KeptClients
from caudal.ingest.adapters.providers.http import open_http
from caudal.ingest.adapters.providers.opening import open_client
from caudal.ingest.adapters.providers.websocket import WebsocketFeeds
from caudal.ingest.adapters.rejects_file import RejectsFile
from caudal.ingest.adapters.sql_api_keys import SqlApiKeys
from caudal.ingest.adapters.sql_lease import SqlLease
from caudal.ingest.adapters.sql_polling import SqlPollingRecord
from caudal.ingest.adapters.sql_progress import SqlWindowProgress
from caudal.ingest.adapters.sql_secrets import SqlSecrets
from caudal.ingest.adapters.tables import open_table
from caudal.ingest.adapters.terminal import Shown
from caudal.ingest.adapters.window_process import WindowProcess
from caudal.ingest.domain.options import Options
from caudal.ingest.domain.reports import Report
from caudal.ingest.domain.schedule import Reach
from caudal.ingest.entrypoints import batch, poll, trying, uplink
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.asking import Asker
from caudal.ingest.handlers.hearing import Hearing
from caudal.ingest.handlers.key_uses import KeyUses
from caudal.ingest.handlers.lead import Lead
from caudal.ingest.handlers.listening import Listening
from caudal.ingest.handlers.loading import Loading
from caudal.ingest.handlers.polling import Polling
from caudal.ingest.handlers.presence import Presence
from caudal.ingest.handlers.receiving import Receiving
from caudal.ingest.handlers.trying import Trying
from caudal.ingest.handlers.windows import Windows
from caudal.ingest.ports import ProviderClient
from caudal.ingest.settings import IngestSettings, windows_folder

NAME = "ingest"
MAX_CONNECTIONS = 1000
"""To all providers together; each has no more than points of it are asked for at once."""
VERSION_TABLE = "alembic_version_ingest"
TIMER_ALONE, TIMER_BESIDE_QUEUE = 1.0, 1.25
"""How many intervals our own clock waits for a round: beside arq's it only steps in when that one does not ring."""
CONNECT_S = 10.0
"""How long `load` waits for the broker."""


def serve() -> None:
    """Run the service until it is told to stop."""
    run(NAME, ServiceSettings(), build)


async def build(service: Service) -> None:
    """Put the service together."""
    common, settings, mqtt = ServiceSettings(), IngestSettings(), MqttSettings()
    clock, tally = SystemClock(), PrometheusTally(service.registry)
    engine = open_engine(SqlSettings())
    catalog = CachedCatalog(PatientCatalog(SqlCatalog(engine)))
    service.part("database", check=partial(ping, engine), stop=engine.dispose)
    if common.migrate:
        service.first("tables", bring_up_to_date)

    # What receives and what puts away need one another: the bus is told of the latter by a name that is bound below.
    bus = MqttBus(mqtt, NAME, on_poison=lambda delivery, why: put_away(delivery, why), metrics=service.bus_metrics)
    accepting = Accepting(catalog, bus, clock, tally)
    put_away = uplink.putting_away(accepting.accept)
    folder = windows_folder(common)
    windows = Windows(JobFiles(folder / ".orders"), WindowProcess(folder, settings.window_timeout_s), bus, clock)

    group = settings.ingest_group if mqtt.mqtt_shared else None
    pace = uplink.Pace(group, settings.ingest_max_batch, settings.ingest_linger_s)
    for subscription in uplink.subscriptions(accepting.accept, catalog.forget, tally, pace, settings.zigbee_topic):
        bus.subscribe(subscription)
    bus.subscribe(batch.subscription(windows.order, accepting.accept, group))

    http = open_http(settings.polling_networks, MAX_CONNECTIONS)
    service.part("providers", stop=http.aclose)
    feeds = WebsocketFeeds(settings.polling_networks, MAX_CONNECTIONS)
    polling, tried = polling_of(settings, common, engine, http, feeds, accepting, bus, clock)
    bus.subscribe(trying.subscription(tried.order, group))
    service.part("bus", run=bus.run, check=bus.check)
    # gateway-api makes the catalog; at a first start it may still be at it. What comes by the bus meanwhile waits.
    service.first("catalog", partial(PatientCatalog(SqlCatalog(engine)).provider, ""))
    service.part("windows", run=windows.run, restart=True)
    presence = Presence(SqlPollingRecord(engine), clock)
    service.part("presence", run=presence.run, restart=True)
    listening = Listening(
        PatientFleet(SqlCatalog(engine)),
        SqlSecrets(engine, open_sealer(CredentialSettings(), common.data_dir)),
        feeds,
        Hearing(accepting, presence, tally),
        presence,
        SqlLease(engine, "websocket"),
        clock,
        holder=mqtt.mqtt_client_id or NAME,
    )
    service.part("websockets", run=listening.run, check=listening.check, stop=feeds.aclose, restart=True)
    if settings.grpc_port is not None:
        # Imported where it is wanted, as arq is below: neither is small, and a service alone has neither.
        from caudal.ingest.entrypoints.grpc.server import GrpcServer, Place

        receiving = Receiving(SqlApiKeys(engine), KeyUses(bus, clock), catalog, accepting, presence, tally, clock)
        pair = (settings.grpc_certificate, settings.grpc_private_key)
        place = Place(settings.grpc_host, settings.grpc_port, settings.grpc_calls, *pair)
        server = GrpcServer(receiving.take, place)
        service.part("grpc", run=server.run, check=server.check)
    add_clocks(service, polling, settings)


def polling_of(
    settings: IngestSettings,
    common: ServiceSettings,
    engine: AsyncEngine,
    http: httpx.AsyncClient,
    feeds: WebsocketFeeds,
    accepting: Accepting,
    publisher: Publisher,
    clock: Clock,
) -> tuple[Polling, Trying]:
    """What asks providers, in rounds and by order."""
    pace = HostPace(settings.polling_requests_per_s)

    def opened(provider: Provider, secrets: dict[str, str]) -> ProviderClient:
        entry = (provider.api or "", provider.connection, provider.authentication)
        return open_client(*entry, secrets, http, clock, provider.time_zone, pace.wait)

    fleet, clients = PatientFleet(SqlCatalog(engine)), KeptClients(opened)
    secrets = SqlSecrets(engine, open_sealer(CredentialSettings(), common.data_dir))
    record = SqlPollingRecord(engine)
    asker = Asker(accepting, record, clock, _reach(settings))
    holder = MqttSettings().mqtt_client_id or NAME
    every, at_once = timedelta(minutes=settings.polling_minutes), settings.polling_at_once
    polling = Polling(fleet, secrets, clients, record, asker, clock, every=every, at_once=at_once, holder=holder)
    return polling, Trying(fleet, secrets, clients, feeds, accepting, publisher, clock, polling.order)


def _reach(settings: IngestSettings) -> Reach:
    return Reach(
        timedelta(hours=settings.polling_first_hours),
        timedelta(minutes=settings.polling_overlap_minutes),
        timedelta(days=settings.polling_look_back_days),
    )


def add_clocks(service: Service, polling: Polling, settings: IngestSettings) -> None:
    """Have rounds begun: by arq where there is a Redis, and by our own clock in any case."""
    every = timedelta(minutes=settings.polling_minutes)
    if redis_url := settings.redis_url.get_secret_value():
        from caudal.ingest.entrypoints.queue import Queue

        queue = Queue(polling.round, every, redis_url)
        service.part("queue", run=queue.run, check=queue.check, restart=True)
    patience = TIMER_BESIDE_QUEUE if redis_url else TIMER_ALONE
    service.part("polling", run=partial(poll.ring, polling.round, every, patience, polling.ordered), restart=True)


async def bring_up_to_date() -> None:
    """Make or change ingest's tables."""
    engine = open_engine(SqlSettings())
    try:
        await migrate(engine, "caudal.ingest", VERSION_TABLE)
    finally:
        await engine.dispose()


async def load(
    path: Path, options: Options, *, kind: str | None, window: str | None, dry_run: bool, shown: Shown
) -> Report:
    """Load one file over the bus, or only look at it; the report. `shown` says meanwhile how far it is.

    Raises:
        InvalidInput: the file or the options cannot be used.
        Transient: the broker or the catalog is away.
    """
    settings = IngestSettings()
    engine = open_engine(SqlSettings())
    table = open_table(path, options, _limits(settings), kind)
    rejects: RejectsFile | None = None
    try:
        rejects = None if dry_run else RejectsFile(path)
        async with AsyncExitStack() as stack:
            publisher = None if dry_run else await stack.enter_async_context(_publisher())
            window = window or id_from_name(path.name)
            loading = Loading(
                PatientCatalog(SqlCatalog(engine)),
                publisher,
                SystemClock(),
                window=window,
                rows_per_s=settings.window_rows_per_s,
                lead=Lead(SqlWindowProgress(engine), window, settings.window_rows_ahead),
            )
            with shown(table.unit, table.total) as progress:
                report = await loading.load(table, options, rejects, progress)
    finally:
        rejects_path = rejects.close() if rejects else None
        await table.close()
        await engine.dispose()
    report.path, report.rejects_path = str(path), rejects_path
    return report


@asynccontextmanager
async def _publisher() -> AsyncIterator[Publisher]:
    """A connection of its own to the bus, that leaves nothing behind.

    Raises:
        Transient: the broker is not there.
    """
    mqtt = MqttSettings().model_copy(update={"mqtt_client_id": f"{NAME}-load-{uuid4().hex[:12]}"})
    bus = MqttBus(mqtt, NAME)
    running = asyncio.create_task(bus.run(), name="bus")
    try:
        try:
            async with asyncio.timeout(CONNECT_S):
                await bus.connected()
        except TimeoutError:
            raise Transient(f"no broker at {mqtt.mqtt_host}:{mqtt.mqtt_port}") from None
        yield bus
    finally:
        running.cancel()
        await asyncio.wait([running])


def _limits(settings: IngestSettings) -> Limits:
    return Limits(
        memory_bytes=settings.window_memory_mb * 1024**2,
        max_rows=settings.window_max_rows,
        max_decoded_bytes=settings.window_max_decoded_mb * 1024**2,
    )
