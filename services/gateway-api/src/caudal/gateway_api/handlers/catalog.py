"""Changing the catalog: each change is recorded, and told to the other services, in the transaction that makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import ConfigChanged
from caudal.common.bus.topics import TELEMETRY_CONFIG
from caudal.common.domain.catalog import MeterSwap, Point, Provider, Variable
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Clock, Outgoing
from caudal.gateway_api.domain.audit import act_of
from caudal.gateway_api.domain.catalog_rules import (
    checked_point,
    checked_provider,
    variable_in,
    with_changed_variable,
    with_swap,
    with_variable,
    without_variable,
)
from caudal.gateway_api.domain.errors import Forbidden
from caudal.gateway_api.domain.intervals import within_bounds
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.versions import ANY, Expected
from caudal.gateway_api.handlers.outbox import OutboxRelay
from caudal.gateway_api.ports import CatalogEdit, CatalogStore, Sealing

Secrets = Mapping[str, str | None]
"""Name to secret; None: forget it."""
NONE: Secrets = {}

Owned = TypeVar("Owned", Point, Provider)


@dataclass(frozen=True, slots=True)
class CatalogDesk:
    """The ports that changing the catalog needs."""

    store: CatalogStore
    relay: OutboxRelay
    clock: Clock
    sealing: Sealing


# ---------------------------------------------------------------- points


async def create_point(desk: CatalogDesk, caller: Caller, point: Point, secrets: Secrets = NONE) -> Point:
    """Add a point with its variables, and the secrets of its own that its provider asks for.

    Raises:
        Conflict: its code or its device is taken.
        InvalidInput: a field cannot be used, or the provider is unknown.
    """
    point = checked_point(_placed(caller, point))
    async with desk.store.edit(caller.scope) as edit:
        await edit.add_point(point, desk.clock.now())
        _record(desk, edit, caller, "create", point, None, point)
        await _keep_secrets(desk, edit, caller, point, secrets)
        await _tell(desk, edit, point.device, point.code)
    await desk.relay.deliver_soon()
    return point


async def change_point(
    desk: CatalogDesk,
    caller: Caller,
    code: str,
    change: Callable[[Point], Point],
    expected: Expected = ANY,
    secrets: Secrets = NONE,
) -> Point:
    """Put `change(point)` in the place of a point; the code stays.

    Raises:
        NotFound: there is no such point.
        Stale: it is not what the caller has seen.
        Conflict: the new device is another point's.
        InvalidInput: a field cannot be used, or the provider is unknown.
    """
    async with desk.store.edit(caller.scope) as edit:
        before = await edit.point(code)
        expected.check(before)
        after = checked_point(_placed(caller, change(before)))
        await edit.put_point(after, desk.clock.now())
        if before.client != after.client:
            await edit.forget_foreign(code, after.client)
        _record(desk, edit, caller, "change", after, before, after)
        await _keep_secrets(desk, edit, caller, after, secrets)
        if before.device != after.device:
            await _tell(desk, edit, before.device, None)
        await _tell(desk, edit, after.device, code)
    await desk.relay.deliver_soon()
    return after


async def delete_point(desk: CatalogDesk, caller: Caller, code: str, expected: Expected = ANY) -> None:
    """Remove a point with its variables; its readings stay in the ledger.

    Raises:
        NotFound: there is no such point.
    """
    async with desk.store.edit(caller.scope) as edit:
        point = await edit.point(code)
        expected.check(point)
        await edit.remove_point(code)
        _record(desk, edit, caller, "delete", point, point, None)
        await _tell(desk, edit, point.device, None)
    await desk.relay.deliver_soon()


# ---------------------------------------------------------------- variables


async def create_variable(desk: CatalogDesk, caller: Caller, point: str, variable: Variable) -> Variable:
    """Add a variable to a point.

    Raises:
        NotFound: there is no such point.
        Conflict: the point has a variable of this code.
        InvalidInput: a field cannot be used.
    """
    after = await _edit_variable(
        desk, caller, point, variable.code, "create", lambda before: with_variable(before, variable)
    )
    return variable_in(after, variable.code)


async def change_variable(
    desk: CatalogDesk,
    caller: Caller,
    point: str,
    code: str,
    change: Callable[[Variable], Variable],
    expected: Expected = ANY,
) -> Variable:
    """Put `change(variable)` in the place of a point's variable; the code stays.

    Raises:
        NotFound: there is no such point, or it has no such variable.
        Stale: it is not what the caller has seen.
        InvalidInput: a field cannot be used.
    """

    def changed(before: Point) -> Point:
        expected.check(variable_in(before, code))
        return with_changed_variable(before, code, change)

    after = await _edit_variable(desk, caller, point, code, "change", changed)
    return variable_in(after, code)


async def delete_variable(desk: CatalogDesk, caller: Caller, point: str, code: str, expected: Expected = ANY) -> None:
    """Remove a variable from a point; its readings stay in the ledger.

    Raises:
        NotFound: there is no such point, or it has no such variable.
    """

    def without(before: Point) -> Point:
        expected.check(variable_in(before, code))
        return without_variable(before, code)

    await _edit_variable(desk, caller, point, code, "delete", without)


async def swap_meter(desk: CatalogDesk, caller: Caller, point: str, code: str, swap: MeterSwap) -> Variable:
    """Write down that the meter of a variable was replaced.

    Raises:
        NotFound: there is no such point, or it has no such variable.
        InvalidInput: the variable counts nothing, or the time is out of bounds.
        Conflict: a swap at that instant is there already.
    """
    declared = replace(swap, at=within_bounds(swap.at, "at"))

    def change(before: Point) -> Point:
        return with_changed_variable(before, code, lambda variable: with_swap(variable, declared))

    return variable_in(await _edit_variable(desk, caller, point, code, "meter_swap", change), code)


async def _edit_variable(
    desk: CatalogDesk, caller: Caller, point: str, code: str, action: str, change: Callable[[Point], Point]
) -> Point:
    """Change a point for the sake of one variable; the journal shows that variable alone."""
    async with desk.store.edit(caller.scope) as edit:
        before = await edit.point(point)
        after = checked_point(change(before))
        await edit.put_point(after, desk.clock.now())
        was, became = (next((v for v in side.variables if v.code == code), None) for side in (before, after))
        _record(desk, edit, caller, action, after, was, became, variable=code)
        await _tell(desk, edit, after.device, point)
    await desk.relay.deliver_soon()
    return after


# ---------------------------------------------------------------- providers


async def create_provider(desk: CatalogDesk, caller: Caller, provider: Provider, secrets: Secrets = NONE) -> Provider:
    """Add a provider, with the secrets that it wants to hear from us.

    Raises:
        Conflict: its code is taken.
        InvalidInput: a field cannot be used.
    """
    provider = checked_provider(_placed(caller, provider))
    async with desk.store.edit(caller.scope) as edit:
        await edit.add_provider(provider, desk.clock.now())
        _record(desk, edit, caller, "create", provider, None, provider)
        await _keep_secrets(desk, edit, caller, provider, secrets)
    return provider


async def change_provider(
    desk: CatalogDesk,
    caller: Caller,
    code: str,
    change: Callable[[Provider], Provider],
    expected: Expected = ANY,
    secrets: Secrets = NONE,
) -> Provider:
    """Put `change(provider)` in the place of a provider; the code stays. Its points are told as changed.

    Raises:
        NotFound: there is no such provider.
        InvalidInput: a field cannot be used.
    """
    async with desk.store.edit(caller.scope) as edit:
        before = await edit.provider(code)
        _check_own(caller, before)
        expected.check(before)
        after = checked_provider(_placed(caller, change(before)))
        await edit.put_provider(after, desk.clock.now())
        _record(desk, edit, caller, "change", after, before, after)
        await _keep_secrets(desk, edit, caller, after, secrets)
        for point, device in await edit.devices_of(code):
            await _tell(desk, edit, device, point)
    await desk.relay.deliver_soon()
    return after


async def delete_provider(desk: CatalogDesk, caller: Caller, code: str, expected: Expected = ANY) -> None:
    """Remove a provider and its keys.

    Raises:
        NotFound: there is no such provider.
        Conflict: points belong to it.
    """
    async with desk.store.edit(caller.scope) as edit:
        provider = await edit.provider(code)
        _check_own(caller, provider)
        expected.check(provider)
        await edit.remove_provider(code)
        _record(desk, edit, caller, "delete", provider, provider, None)


# ---------------------------------------------------------------- whose it is


def _placed(caller: Caller, entry: Owned) -> Owned:
    """`entry` as one of the caller's client, if it says of none; staff may say of any.

    Raises:
        InvalidInput: it is another client's.
    """
    if caller.client is None or entry.client == caller.client:
        return entry
    if entry.client is not None:
        raise InvalidInput("client", f"there is no client {entry.client!r}")
    return replace(entry, client=caller.client)


def _check_own(caller: Caller, provider: Provider) -> None:
    if not caller.scope.sees(provider.client):
        raise Forbidden("this provider is shared by all clients: only staff change it")


# ---------------------------------------------------------------- what every change does


def _record(
    desk: CatalogDesk,
    edit: CatalogEdit,
    caller: Caller,
    action: str,
    of: Point | Provider,
    before: Point | Provider | Variable | None,
    after: Point | Provider | Variable | None,
    variable: str | None = None,
) -> None:
    """Write down what was done to a point, a provider or a variable `of` a point."""
    point = of.code if isinstance(of, Point) else None
    kind = "variable" if variable is not None else "provider" if point is None else "point"
    # Who gains or loses something must not see whose it was or will be: that line is the staff's.
    moved = before is not None and not isinstance(before, Variable) and before.client != of.client
    client = None if moved else of.client
    act = act_of(caller, desk.clock.now(), action, kind, variable or of.code, before, after, client=client, point=point)
    edit.audit.record(act)


async def _keep_secrets(
    desk: CatalogDesk, edit: CatalogEdit, caller: Caller, of: Point | Provider, secrets: Secrets
) -> None:
    """Seal secrets and write down which were set and which forgotten, by name."""
    if not secrets:
        return
    kind, now = "point" if isinstance(of, Point) else "provider", desk.clock.now()
    sealed = {
        name: None if secret is None else desk.sealing.seal(f"{kind}/{of.code}/{name}", secret)
        for name, secret in secrets.items()
    }
    await edit.put_credentials(kind, of.code, sealed, now)
    names = {
        "set": sorted(name for name, secret in secrets.items() if secret is not None),
        "forgotten": sorted(name for name, secret in secrets.items() if secret is None),
    }
    point = of.code if kind == "point" else None
    act = act_of(caller, now, "credentials", kind, of.code, None, names, client=of.client, point=point)
    edit.audit.record(act)


async def _tell(desk: CatalogDesk, edit: CatalogEdit, device: str, point: str | None) -> None:
    """Say, retained, that what is known of a device is no longer so."""
    now = desk.clock.now()
    message = encode(ConfigChanged(device=device, point=point, changed_at=now))
    await edit.tell(Outgoing(TELEMETRY_CONFIG.address(device=device), message, retain=True), now)
