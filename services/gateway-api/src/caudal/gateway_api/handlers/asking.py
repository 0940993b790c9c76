"""How asking providers goes, trying one, and asking one now."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from caudal.common.bus.topics import PROVIDER_COMMAND
from caudal.common.domain.catalog import Point, Provider, ProviderType
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.ports import Clock
from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.permissions import EVERYWHERE, Caller
from caudal.gateway_api.domain.polling import (
    PointPolling,
    PointSourceStatus,
    ProviderPolling,
    ProviderStatus,
    lag_s,
)
from caudal.gateway_api.domain.telemetry import OrderedCommand
from caudal.gateway_api.handlers.orders import OrderDesk, new_order, send
from caudal.gateway_api.ports import CatalogStore, Credentials, PollingStates


@dataclass(frozen=True, slots=True)
class AskingDesk:
    """The ports that these questions need."""

    catalog: CatalogStore
    credentials: Credentials
    states: PollingStates
    orders: OrderDesk
    clock: Clock
    test_wait_s: float
    """How long an answer waits for a provider that is tried."""


async def provider_status(desk: AskingDesk, caller: Caller, code: str) -> ProviderStatus:
    """How asking a provider goes; of one that many clients share, what is about the caller's own points.

    Raises:
        NotFound: there is no such provider within the caller's scope.
    """
    provider = await _provider(desk, caller, code)
    polling = await desk.states.provider(code, caller.scope) or ProviderPolling()
    is_own = caller.scope.sees(provider.client)
    if not is_own:
        # It may speak of another client's device.
        polling = replace(polling, error=None, error_at=None)
    return ProviderStatus(
        provider=code,
        is_asked=_is_asked(provider),
        last_connection=polling.connected_at,
        last_error=polling.error,
        lag_s=lag_s(desk.clock.now(), polling.oldest_measured_until),
        polling=polling,
        credentials=await desk.credentials.names("provider", code) if is_own else {},
    )


async def point_status(desk: AskingDesk, caller: Caller, code: str) -> PointSourceStatus:
    """How asking for a point goes.

    Raises:
        NotFound: there is no such point within the caller's scope.
    """
    point = await _point(desk, caller, code)
    provider = await desk.catalog.provider(point.provider, EVERYWHERE) if point.provider else None
    polling = await desk.states.point(code) or PointPolling()
    return PointSourceStatus(
        point=code,
        provider=point.provider,
        is_asked=point.source is not None and provider is not None and _is_asked(provider),
        lag_s=lag_s(desk.clock.now(), polling.measured_until),
        polling=polling,
        credentials=await desk.credentials.names("point", code),
    )


async def provider_credentials(desk: AskingDesk, caller: Caller, code: str) -> dict[str, datetime]:
    """Names of a provider's secrets that are set, and since when.

    Raises:
        NotFound: there is no such provider within the caller's scope.
        Forbidden: it is shared by all clients, and its secrets are the staff's.
    """
    provider = await _provider(desk, caller, code)
    if not caller.scope.sees(provider.client):
        raise Forbidden("this provider is shared by all clients: its credentials are the staff's")
    return await desk.credentials.names("provider", code)


async def point_credentials(desk: AskingDesk, caller: Caller, code: str) -> dict[str, datetime]:
    """Names of a point's own secrets that are set, and since when.

    Raises:
        NotFound: there is no such point within the caller's scope.
    """
    await _point(desk, caller, code)
    return await desk.credentials.names("point", code)


async def try_provider(desk: AskingDesk, caller: Caller, code: str, params: dict[str, Any]) -> OrderedCommand:
    """Have a provider asked for the latest values of a point, or listened to until it says something.

    Nothing that comes is handed on.

    Raises:
        NotFound: there is no such provider or point within the caller's scope.
        Forbidden: it is listened to, and shared by all clients.
        InvalidInput: it is not one that can be asked, or is shared and no point of the caller's is named.
        Transient: the broker is away.
    """
    provider = await _provider(desk, caller, code)
    if provider.type is ProviderType.WEBSOCKET:
        _check_heard(caller, provider, params)
    elif provider.api is None:
        raise InvalidInput("api", f"{code!r} has none, so there is nothing to ask")
    if params.get("point"):
        await _point(desk, caller, params["point"])
    elif not caller.scope.sees(provider.client):
        raise InvalidInput("point", "name one of your points: this provider is shared by all clients")
    order = new_order(desk.orders, caller, "test", code)
    return await send(desk.orders, order, PROVIDER_COMMAND.address(provider=code), params, desk.test_wait_s)


async def poll_provider(desk: AskingDesk, caller: Caller, code: str) -> OrderedCommand:
    """Have a provider asked for all its points in a round that begins as soon as it can.

    Raises:
        NotFound: there is no such provider within the caller's scope.
        Forbidden: it is shared by all clients, and when it is asked is the staff's matter.
        InvalidInput: no round asks it.
        Transient: the broker is away.
    """
    provider = await _provider(desk, caller, code)
    if not caller.scope.sees(provider.client):
        raise Forbidden("this provider is shared by all clients: only staff have it asked")
    if provider.api is None:
        raise InvalidInput("api", f"{code!r} has none, so there is nothing to ask")
    if not _is_asked(provider):
        raise InvalidInput("active", f"{code!r} is switched off or only being tried, so no round asks it")
    order = new_order(desk.orders, caller, "poll", code)
    return await send(desk.orders, order, PROVIDER_COMMAND.address(provider=code), {}, desk.test_wait_s)


def _check_heard(caller: Caller, provider: Provider, params: dict[str, Any]) -> None:
    """Raises, unless the caller may hear everything that a provider says."""
    if not caller.scope.sees(provider.client):
        raise Forbidden("this provider is shared by all clients: only staff listen to it")
    for field in params:
        raise InvalidInput(field, "a WebSocket is not asked for anything: what it says first is shown")


def _is_asked(provider: Provider) -> bool:
    is_http = provider.type is ProviderType.HTTP_API and provider.api is not None
    return is_http and provider.active and not provider.testing


async def _provider(desk: AskingDesk, caller: Caller, code: str) -> Provider:
    provider = await desk.catalog.provider(code, caller.scope)
    if provider is None:
        raise NotFound("provider", code)
    return provider


async def _point(desk: AskingDesk, caller: Caller, code: str) -> Point:
    point = await desk.catalog.point(code, caller.scope)
    if point is None:
        raise NotFound("point", code)
    return point
