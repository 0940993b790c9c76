"""From a catalog entry and its secrets to a client."""

from collections.abc import Mapping
from typing import Any

import httpx

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.providers import (
    Connection,
    GenericConnection,
    TagoConnection,
    ThethingsConnection,
    ThingsboardConnection,
    provider_settings,
)
from caudal.common.ports import Clock
from caudal.ingest.adapters.providers.client import Api, HttpProviderClient
from caudal.ingest.adapters.providers.exchange import Exchange
from caudal.ingest.adapters.providers.generic import GenericApi
from caudal.ingest.adapters.providers.http import Http, Pace
from caudal.ingest.adapters.providers.masking import Mask
from caudal.ingest.adapters.providers.tago import TagoApi
from caudal.ingest.adapters.providers.thethings import ThethingsApi
from caudal.ingest.adapters.providers.thingsboard import ThingsboardApi
from caudal.ingest.ports import ProviderClient


def open_client(
    api: str,
    connection: Mapping[str, Any],
    authentication: Mapping[str, Any],
    secrets: Mapping[str, str],
    http: httpx.AsyncClient,
    clock: Clock,
    zone: str | None = None,
    pace: Pace | None = None,
) -> ProviderClient:
    """A client for one provider, or for one point of it where points have secrets of their own.

    It remembers the token of a login, so it should serve all points that share the secrets.

    Args:
        api: A `ProviderApi`.
        connection: As in the catalog.
        authentication: As in the catalog.
        secrets: Those that the authentication names; one that is missing is told by the first answer.
        http: From `open_http`; shared by all clients, and closed by whoever opened it.
        clock: What time it is.
        zone: Of times that the provider gives without one.
        pace: Returns when it is the turn of one more request to a host.

    Raises:
        InvalidInput: the catalog's entry cannot be used; the error names the field.
    """
    settings = provider_settings(api, connection, authentication)
    carrier = Http(settings.connection, http, clock, Mask(), pace)
    exchange = Exchange(settings.authentication, secrets, carrier, clock)
    return HttpProviderClient(
        _api(settings.connection, exchange, clock, zone), settings.connection, clock, exchange.mask
    )


def _api(connection: Connection, exchange: Exchange, clock: Clock, zone: str | None) -> Api:
    match connection:
        case TagoConnection():
            return TagoApi(connection, exchange)
        case ThethingsConnection():
            return ThethingsApi(connection, exchange)
        case ThingsboardConnection():
            return ThingsboardApi(connection, exchange, clock)
        case GenericConnection():
            return GenericApi(connection, exchange, clock, zone)
        case _:
            raise InvalidInput("api", "has no client")
