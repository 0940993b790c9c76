"""Changing points and providers: each change is recorded, and told to others, in the transaction that makes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import ConfigChanged
from caudal.common.bus.topics import TELEMETRY_CONFIG
from caudal.common.domain.catalog import Point, Provider, Variable
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Clock, Outgoing
from caudal.gateway_api.domain.audit import act_of, end_of
from caudal.gateway_api.domain.catalog_rules import checked_point, checked_provider
from caudal.gateway_api.domain.errors import Conflict, Forbidden
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.tenancy import Tie
from caudal.gateway_api.domain.timeline import Past, PointVersion, changed_from, past_that_differs
from caudal.gateway_api.domain.versions import ANY, Expected
from caudal.gateway_api.handlers.outbox import OutboxRelay
from caudal.gateway_api.ports import CatalogEdit, CatalogStore, Sealing

Secrets = Mapping[str, str | None]
"""Name to secret; None: forget it."""
NONE: Secrets = {}
Part = Variable | PointVersion
"""What of a point is changed by itself."""

Owned = TypeVar("Owned", Point, Provider)


@dataclass(frozen=True, slots=True)
class Since:
    """From when on a change is valid."""

    at: datetime | None
    """None: ever since; the past is corrected."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A point after a change, and which of its readings are not what they would be under it."""

    point: Point
    past: Past | None = None
    """None: none are."""
    readings: int = 0
    """How many, at most."""


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
    _check_history(desk, point)
    async with desk.store.edit(caller.scope) as edit:
        await edit.add_point(point, desk.clock.now())
        await _check_source(edit, caller, None, point)
        await _check_claim(edit, caller, None, point)
        record(desk, edit, caller, "create", point, None, point)
        await _keep_secrets(desk, edit, caller, point, secrets)
        await tell(desk, edit, point.device, point.code)
    await desk.relay.deliver_soon()
    return point


async def change_point(
    desk: CatalogDesk,
    caller: Caller,
    code: str,
    change: Callable[[Point], Point],
    expected: Expected = ANY,
    secrets: Secrets = NONE,
    since: Since | None = None,
) -> Changed:
    """Put `change(point)` in the place of a point; the code stays. What readings are judged by changes from `since` on.

    Raises:
        NotFound: there is no such point.
        Stale: it is not what the caller has seen.
        Conflict: the new device is another point's, or it has too many versions.
        InvalidInput: a field cannot be used, or the provider is unknown.
    """
    start = await begin_of(desk, code, since)
    async with desk.store.edit(caller.scope) as edit:
        before = await edit.point(code)
        expected.check(replace(before, earlier=()))
        after = changed_from(before, start, lambda version: checked_point(_placed(caller, change(version))))
        _check_history(desk, after)
        # Before the point moves: whose they were is still to be seen.
        ties = await edit.forget_foreign(code, after.client) if before.client != after.client else ()
        await edit.put_point(after, desk.clock.now())
        await _check_source(edit, caller, before, after)
        await _check_claim(edit, caller, before, after)
        _record_ties(desk, edit, caller, ties)
        record(desk, edit, caller, "change", after, before, after)
        await _keep_secrets(desk, edit, caller, after, secrets)
        if before.device != after.device:
            await tell(desk, edit, before.device, None)
        await tell(desk, edit, after.device, code)
    await desk.relay.deliver_soon()
    return await changed(desk, before, after)


async def delete_point(desk: CatalogDesk, caller: Caller, code: str, expected: Expected = ANY) -> None:
    """Remove a point with its variables; its readings stay in the ledger.

    Raises:
        NotFound: there is no such point.
    """
    async with desk.store.edit(caller.scope) as edit:
        point = await edit.point(code)
        expected.check(replace(point, earlier=()))
        _record_ties(desk, edit, caller, await edit.remove_point(code))
        record(desk, edit, caller, "delete", point, point, None)
        await tell(desk, edit, point.device, None)
    await desk.relay.deliver_soon()


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
        record(desk, edit, caller, "create", provider, None, provider)
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
        record(desk, edit, caller, "change", after, before, after)
        await _keep_secrets(desk, edit, caller, after, secrets)
        for point, device in await edit.devices_of(code):
            await tell(desk, edit, device, point)
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
        record(desk, edit, caller, "delete", provider, provider, None)


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


async def _check_source(edit: CatalogEdit, caller: Caller, before: Point | None, after: Point) -> None:
    """Somebody of a client says only of its own providers where a point's values are.

    A provider shared by all clients answers for all their devices: whoever could name another's would read it.

    Raises:
        Forbidden: the provider is shared, and what it is asked for would change.
    """
    if caller.client is None or after.source is None or after.provider is None:
        return
    if before is not None and (before.provider, before.source) == (after.provider, after.source):
        return
    if (await edit.provider(after.provider)).client is None:
        raise Forbidden("this provider is shared by all clients: only staff say which of its devices is whose")


def _check_history(desk: CatalogDesk, point: Point) -> None:
    """Raises, if the history that is wanted of the point's provider is still to come."""
    since = point.source.history_from if point.source else None
    if since is not None and since > desk.clock.now():
        raise InvalidInput("source.history_from", "must not lie in the future")


async def _check_claim(edit: CatalogEdit, caller: Caller, before: Point | None, after: Point) -> None:
    """Somebody of a client takes no device that was heard of before, unless the client has a key of it.

    Whose readings wait there, nobody can tell from them: whoever could take them would read another client's.

    Raises:
        Conflict: the device was heard of, or somebody else has a key of it.
    """
    if caller.client is None or (before is not None and before.device == after.device):
        return
    if await edit.is_reserved(after.device, caller.client, after.code):
        raise Conflict("this device was heard of before, or is somebody's: only staff say whose it is", "device")


def _check_own(caller: Caller, provider: Provider) -> None:
    if not caller.scope.sees(provider.client):
        raise Forbidden("this provider is shared by all clients: only staff change it")


# ---------------------------------------------------------------- what every change does


async def begin_of(desk: CatalogDesk, point: str, since: Since | None) -> datetime | None:
    """From when on a change is valid: from now on if nobody says, or ever where the point has no past yet.

    Raises:
        InvalidInput: it lies in the future.
    """
    now = desk.clock.now()
    if since is None:
        return now if await desk.store.is_measured(point) else None
    if since.at is not None and since.at > now:
        raise InvalidInput("valid_from", "must not lie in the future")
    return since.at


async def changed(desk: CatalogDesk, before: Point, after: Point, about: datetime | None = None) -> Changed:
    """What a change that was made means for the past; it is `about` what was measured from then on (None: all)."""
    past = past_that_differs(before, after)
    if past is not None and about is not None:
        past = replace(past, start=about if past.start is None else max(past.start, about))
    count = await desk.store.readings_between(after.code, past.start, past.end) if past else 0
    return Changed(after, past if count else None, count)


def record(
    desk: CatalogDesk,
    edit: CatalogEdit,
    caller: Caller,
    action: str,
    of: Point | Provider,
    before: Point | Provider | Part | None,
    after: Point | Provider | Part | None,
    part: tuple[str, str] | None = None,
) -> None:
    """Write down what was done to a point or a provider, or to a part `of` a point: its kind and its key."""
    point = of.code if isinstance(of, Point) else None
    kind, key = part or ("provider" if point is None else "point", of.code)
    # Who gains or loses something must not see whose it was or will be: that line is the staff's.
    moved = isinstance(before, Point | Provider) and before.client != of.client
    client = None if moved else of.client
    states = (_recorded(before), _recorded(after))
    edit.audit.record(act_of(caller, desk.clock.now(), action, kind, key, *states, client=client, point=point))


def _record_ties(desk: CatalogDesk, edit: CatalogEdit, caller: Caller, ties: Sequence[Tie]) -> None:
    for tie in ties:
        edit.audit.record(end_of(tie, caller, desk.clock.now()))


def _recorded(state: Point | Provider | Part | None) -> Part | Provider | dict[str, Any] | None:
    """A point as it was then: its earlier versions have lines of their own."""
    if not isinstance(state, Point):
        return state
    plain: dict[str, Any] = msgspec.to_builtins(state)
    valid_from = state.earlier[-1].valid_until.isoformat() if state.earlier else None
    return {name: value for name, value in plain.items() if name != "earlier"} | {"valid_from": valid_from}


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


async def tell(desk: CatalogDesk, edit: CatalogEdit, device: str, point: str | None) -> None:
    """Say, retained, that what is known of a device is no longer so."""
    now = desk.clock.now()
    message = encode(ConfigChanged(device=device, point=point, changed_at=now))
    await edit.tell(Outgoing(TELEMETRY_CONFIG.address(device=device), message, retain=True), now)
