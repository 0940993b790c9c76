"""The composition root: what the door is made of."""

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.adapters.sealing import open_sealer
from caudal.common.adapters.sql import migrate, open_engine, ping
from caudal.common.adapters.store import open_store
from caudal.common.ports import Clock, Publisher, TelemetryStore
from caudal.common.service import Service, run
from caudal.common.settings import CredentialSettings, MqttSettings, ServiceSettings, SqlSettings, StoreSettings
from caudal.gateway_api.adapters.disk_space import DiskSpace
from caudal.gateway_api.adapters.import_sheets import ImportSheets
from caudal.gateway_api.adapters.key_ring import GivenKeys, KeyFolder
from caudal.gateway_api.adapters.passwords import Argon2Passwords
from caudal.gateway_api.adapters.queues import ArqQueues
from caudal.gateway_api.adapters.rates import SlidingRates, redis_counts
from caudal.gateway_api.adapters.sql_attempts import SqlLoginAttempts
from caudal.gateway_api.adapters.sql_catalog_store import SqlCatalogStore
from caudal.gateway_api.adapters.sql_counts import SqlCounts
from caudal.gateway_api.adapters.sql_credentials import SqlCredentials, SqlPollingStates
from caudal.gateway_api.adapters.sql_grounds import SqlGrounds
from caudal.gateway_api.adapters.sql_identity import RememberedUsers, SqlUsers
from caudal.gateway_api.adapters.sql_identity_store import SqlIdentityStore
from caudal.gateway_api.adapters.sql_intake import SqlCommands, SqlOutbox, SqlUploads
from caudal.gateway_api.adapters.sql_keys import SqlApiKeys
from caudal.gateway_api.adapters.sql_ledger import SqlLedger
from caudal.gateway_api.adapters.sql_records import SqlRecords
from caudal.gateway_api.adapters.sql_repeats import SqlRepeats
from caudal.gateway_api.adapters.sql_schema_records import SqlSchemaRecords
from caudal.gateway_api.adapters.sql_sessions import ExpiredSessions
from caudal.gateway_api.adapters.sql_together import SqlTogether
from caudal.gateway_api.adapters.tokens import JwtTokens
from caudal.gateway_api.adapters.window_files import WindowFolder
from caudal.gateway_api.entrypoints.app import Bounds, create_app
from caudal.gateway_api.entrypoints.door import Door
from caudal.gateway_api.entrypoints.jobs import settle, tell, tidy
from caudal.gateway_api.entrypoints.mqtt import answers, key_uses, progress
from caudal.gateway_api.handlers.asking import AskingDesk
from caudal.gateway_api.handlers.catalog import CatalogDesk
from caudal.gateway_api.handlers.figures import Figures
from caudal.gateway_api.handlers.identity import Identity, ensure_admin
from caudal.gateway_api.handlers.imports import ImportDesk
from caudal.gateway_api.handlers.intake import Intake
from caudal.gateway_api.handlers.once import OnceDesk
from caudal.gateway_api.handlers.orders import OrderDesk
from caudal.gateway_api.handlers.outbox import OutboxRelay
from caudal.gateway_api.handlers.records import RecordsDesk
from caudal.gateway_api.handlers.schemas import SchemaDesk
from caudal.gateway_api.handlers.series import SeriesDesk
from caudal.gateway_api.handlers.telemetry import TelemetryDesk
from caudal.gateway_api.handlers.uploads import UploadShelf
from caudal.gateway_api.handlers.windows import WindowDesk
from caudal.gateway_api.ports import LoginAttempts
from caudal.gateway_api.settings import GatewaySettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

NAME = "gateway-api"
VERSION_TABLE = "alembic_version_gateway_api"

KEEP_REPEATS = timedelta(days=1)
"""How long an Idempotency-Key is remembered."""
KEEP_SESSIONS = timedelta(days=30)
"""How long it can be seen that a session was, after its end; a stolen token is recognised as long."""
KEEP_ORDERS = timedelta(days=30)
"""How long the answer to an order can be asked for."""


@dataclass(frozen=True, slots=True)
class House:
    """What stands behind the door."""

    door: Door
    relay: OutboxRelay
    orders: OrderDesk
    repeats: SqlRepeats
    commands: SqlCommands
    shelf: UploadShelf
    counts: SqlCounts


async def build(service: Service) -> None:
    """Settings, adapters, handlers, entrypoints, parts."""
    settings, common, sql = GatewaySettings(), ServiceSettings(), SqlSettings()
    clock = SystemClock()
    engine = open_engine(sql)
    service.part("database", check=partial(ping, engine), stop=engine.dispose)
    if common.migrate:
        service.first("tables", bring_up_to_date)
    stack = AsyncExitStack()
    store = await stack.enter_async_context(open_store(StoreSettings(), clock))
    service.part("store", check=store.ping, stop=stack.aclose)
    bus = MqttBus(MqttSettings(), NAME, metrics=service.bus_metrics)

    redis = redis_of(settings)
    if redis is not None:
        # Not asked whether it is well: we go on without it.
        service.part("redis", stop=redis.aclose)
    house = furnish(settings, common.data_dir, StoreSettings().retention_days, engine, store, bus, clock, redis)
    service.first("administrator", partial(welcome, house.door.identity, settings))
    bus.subscribe(answers(house.orders))
    bus.subscribe(progress(house.orders))
    bus.subscribe(key_uses(house.door.identity.keys))
    service.part("bus", run=bus.run, check=bus.check)
    service.part("outbox", run=partial(tell, house.relay), restart=True)
    keep_uploads = timedelta(days=settings.keep_uploads_days)
    kept = (
        (house.repeats, KEEP_REPEATS),
        (house.commands, KEEP_ORDERS),
        (house.shelf, keep_uploads),
        (ExpiredSessions(engine), KEEP_SESSIONS),
        (house.counts, timedelta(0)),
    )
    service.part("rates", run=partial(settle, house.counts), stop=house.counts.close, restart=True)
    service.part("tidy", run=partial(tidy, kept, clock), restart=True)
    app = create_app(house.door, bounds(settings), service.registry)
    service.serve(app, settings.api_host, settings.api_port, metrics_path="/metrics/prometheus")


def furnish(
    settings: GatewaySettings,
    data_dir: Path,
    retention_days: int,
    engine: AsyncEngine,
    store: TelemetryStore,
    publisher: Publisher,
    clock: Clock,
    redis: "Redis | None" = None,
) -> House:
    """Adapters and handlers, put together."""
    catalog, ledger = SqlCatalogStore(engine), SqlLedger(engine)
    repeats, commands = SqlRepeats(engine), SqlCommands(engine)
    once, counts = OnceDesk(repeats, clock), SqlCounts(engine)
    shared = redis_counts(redis) if redis is not None else counts
    sealer = open_sealer(CredentialSettings(), data_dir)
    credentials = SqlCredentials(engine, sealer)
    relay = OutboxRelay(SqlOutbox(engine), publisher)
    catalog_desk = CatalogDesk(catalog, relay, clock, sealer)
    space = DiskSpace(data_dir, settings.min_free_bytes)
    records = RecordsDesk(SqlRecords(engine), Argon2Passwords(), clock)
    orders = OrderDesk(commands, publisher, clock)
    windows = WindowDesk(
        files=WindowFolder(data_dir / "windows", space),
        uploads=SqlUploads(engine),
        ledger=ledger,
        orders=orders,
        once=once,
        clock=clock,
        run_wait_s=settings.window_wait_s,
    )
    door = Door(
        identity=identity_of(settings, data_dir, engine, clock, redis),
        catalog=catalog_desk,
        asking=AskingDesk(catalog, credentials, SqlPollingStates(engine), orders, clock, settings.provider_test_wait_s),
        intake=Intake(catalog, credentials, once, publisher, clock, space),
        telemetry=TelemetryDesk(catalog, ledger, orders, publisher, clock, settings.order_wait_s),
        series=SeriesDesk(store, clock, timedelta(days=retention_days)),
        windows=windows,
        imports=ImportDesk(ImportSheets(), SqlGrounds(engine), SqlTogether(engine), catalog_desk, records),
        once=once,
        rates=SlidingRates(settings.rate_limit_address, settings.rate_limit_caller, shared),
        records=records,
        schemas=SchemaDesk(records, SqlSchemaRecords(engine), relay, orders, clock, settings.order_wait_s, catalog),
        queues=ArqQueues(engine, redis),
        figures=Figures(ledger, windows),
    )
    shelf = UploadShelf(windows.files, windows.uploads, commands)
    return House(door, relay, orders, repeats, commands, shelf, counts)


def identity_of(
    settings: GatewaySettings, data_dir: Path, engine: AsyncEngine, clock: Clock, redis: "Redis | None" = None
) -> Identity:
    """Users, tokens and keys, put together."""
    given = settings.signing_key.get_secret_value() if settings.signing_key else ""
    keys = GivenKeys(given) if given else KeyFolder(data_dir / "keys")
    lifetime = timedelta(minutes=settings.token_minutes)
    return Identity(
        users=RememberedUsers(SqlUsers(engine, clock), clock),
        passwords=Argon2Passwords(),
        tokens=JwtTokens(keys, clock, lifetime, settings.token_issuer, settings.token_audience),
        attempts=attempts_of(redis, engine),
        keys=SqlApiKeys(engine),
        store=SqlIdentityStore(engine),
        catalog=SqlCatalogStore(engine),
        clock=clock,
        session_age=timedelta(days=settings.session_days),
    )


def redis_of(settings: GatewaySettings) -> "Redis | None":
    """Redis with timeouts on everything; the caller closes it. None: there is none."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    # Imported where there is one, here and below: it takes as long to load as our own code.
    from caudal.gateway_api.adapters.redis_attempts import open_redis

    return open_redis(url)


def attempts_of(redis: "Redis | None", engine: AsyncEngine) -> LoginAttempts:
    """Where failed logins are counted."""
    kept = SqlLoginAttempts(engine)
    if redis is None:
        return kept
    from caudal.gateway_api.adapters.redis_attempts import AttemptsWherePossible, RedisLoginAttempts

    return AttemptsWherePossible(RedisLoginAttempts(redis), kept)


async def welcome(identity: Identity, settings: GatewaySettings) -> None:
    """Make the first administrator, and tell a password that was made up: here and never again."""
    # Empty is what an environment says that has the variable and no value for it.
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    made_up = await ensure_admin(identity, settings.admin_email, given or None)
    if made_up is not None:
        print(f"First administrator: {settings.admin_email}  password: {made_up}  (shown only once)", flush=True)


def bounds(settings: GatewaySettings) -> Bounds:
    """What the door lets through."""
    return Bounds(
        body_bytes=settings.body_max_bytes,
        push_bytes=settings.push_max_bytes,
        upload_bytes=settings.upload_max_bytes,
        cors_origins=settings.cors_origins,
        trusted_proxies=settings.trusted_proxies,
    )


def serve() -> None:
    """Run the service until it is told to stop."""
    run(NAME, ServiceSettings(), build)


async def bring_up_to_date() -> None:
    """Make or change gateway-api's tables."""
    engine = open_engine(SqlSettings())
    try:
        await migrate(engine, "caudal.gateway_api", VERSION_TABLE)
    finally:
        await engine.dispose()


def documentation() -> str:
    """The OpenAPI document, as it is committed."""
    app = create_app(None, Bounds(), CollectorRegistry())
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"
