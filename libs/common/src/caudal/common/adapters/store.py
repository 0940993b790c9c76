"""The telemetry store that the settings ask for."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

import structlog

from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.embedded_store import EmbeddedStore
from caudal.common.adapters.influx.server import InfluxServer
from caudal.common.domain.errors import Transient
from caudal.common.ports import Clock, TelemetryStore
from caudal.common.settings import StoreSettings

_log = structlog.get_logger(__name__)


class _Managed(TelemetryStore, Protocol):
    """A store as its adapters are: something to be set up and closed."""

    async def setup(self) -> None: ...

    async def close(self) -> None: ...


@asynccontextmanager
async def open_store(settings: StoreSettings, clock: Clock | None = None) -> AsyncIterator[TelemetryStore]:
    """The store, set up if it can be reached; if not, each call tries again and raises `Transient` until it can.

    Raises:
        Permanent: the store is there and cannot be used.
    """
    store = _built(settings, clock or SystemClock())
    try:
        try:
            await store.setup()
        except Transient as error:
            _log.warning("telemetry store is away", reason=str(error))
        yield store
    finally:
        await store.close()


def _built(settings: StoreSettings, clock: Clock) -> _Managed:
    retention = timedelta(days=settings.retention_days)
    if settings.store == "embedded":
        return EmbeddedStore(settings.store_path, retention, clock)
    # imported where they are used: influxdb-client takes longer to load than everything else together
    from caudal.common.adapters.influx.http import InfluxHttp
    from caudal.common.adapters.influx.store import InfluxStore

    server: InfluxServer
    if settings.influx_api == "1":
        from caudal.common.adapters.influx.server_v1 import InfluxV1

        http = InfluxHttp(settings.influx_url, _basic(settings), settings.influx_timeout_s)
        server = InfluxV1(http)
    else:
        from caudal.common.adapters.influx.server_v2 import InfluxV2

        token = settings.influx_token.get_secret_value() if settings.influx_token else ""
        http = InfluxHttp(settings.influx_url, f"Token {token}", settings.influx_timeout_s)
        server = InfluxV2(http, settings.influx_org, token, settings.influx_timeout_s)
    return InfluxStore(http, server, settings.influx_bucket, retention, clock)


def _basic(settings: StoreSettings) -> str | None:
    """The header that says who we are to a 1.x server, if it asks."""
    if settings.influx_username is None:
        return None
    password = settings.influx_password.get_secret_value() if settings.influx_password else ""
    return "Basic " + b64encode(f"{settings.influx_username}:{password}".encode()).decode()
