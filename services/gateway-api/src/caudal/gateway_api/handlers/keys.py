"""API keys: made, shown once, used, revoked."""

from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import uuid4

from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.gateway_api.domain.audit import act_of
from caudal.gateway_api.domain.errors import Forbidden, Unauthorized
from caudal.gateway_api.domain.permissions import PUSH, ApiKey, Caller, Permission
from caudal.gateway_api.domain.versions import ANY, Expected
from caudal.gateway_api.handlers.identity import Identity, digest_of, new_secret
from caudal.gateway_api.ports import IdentityWork

KEY_MARK = "caudal_"
"""What every API key begins with, so that a leaked one is found by who looks for it."""


async def create_key(
    identity: Identity,
    caller: Caller,
    label: str,
    permissions: Iterable[Permission] = PUSH,
    *,
    provider: str | None = None,
    device: str | None = None,
    client: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key, and its secret, which is told only here.

    Raises:
        Forbidden: the caller may not do all that the key would.
        InvalidInput: a field cannot be used, or there is no such provider or client.
    """
    now, secret, wanted = identity.clock.now(), KEY_MARK + new_secret(), frozenset(permissions)
    key = ApiKey(
        id=uuid4().hex,
        prefix=secret[: len(KEY_MARK) + 6],
        created_at=now,
        provider=provider,
        device=device,
        client=client,
        permissions=wanted,
        label=label,
        created_by=caller.name,
        expires_at=expires_at,
    )
    _check_end(key, now)
    _check_maker(caller, key)
    async with identity.store.work() as work:
        await work.keys.add(key, digest_of(secret))
        work.audit.record(act_of(caller, now, "create", "api_key", key.id, None, key, client=client))
    return key, secret


async def create_provider_key(identity: Identity, caller: Caller, provider: str, label: str) -> tuple[ApiKey, str]:
    """A new key with which a provider hands readings in, and its secret, which is told only here.

    Raises:
        NotFound: there is no such provider within the caller's scope.
        Forbidden: the caller is of a client.
    """
    if await identity.catalog.provider(provider, caller.scope) is None:
        raise NotFound("provider", provider)
    return await create_key(identity, caller, label, provider=provider)


async def one_key(identity: Identity, caller: Caller, key: str) -> ApiKey:
    """The key of this id.

    Raises:
        NotFound: there is no such key within the caller's scope.
    """
    found = await identity.keys.one(key, caller.scope)
    if found is None:
        raise NotFound("API key", key)
    return found


async def change_key(
    identity: Identity, caller: Caller, key: str, change: Callable[[ApiKey], ApiKey], expected: Expected = ANY
) -> ApiKey:
    """Put `change(key)` in the place of a key: another name, another end, or less that it may.

    Raises:
        NotFound: there is no such key within the caller's scope.
        Stale: it has changed since the caller read it.
        InvalidInput: it would do more than before, or end in the past.
        Forbidden: it would work for longer, and the caller could not make such a key.
    """
    now = identity.clock.now()
    async with identity.store.work() as work:
        before = await _held(work, caller, key, expected)
        after = change(before)
        if after.permissions - before.permissions:
            # Whoever has it would be given more without a word: a new key goes only to whom it is meant for.
            raise InvalidInput("permissions", "a key is never given more: make another one for that")
        if after.expires_at != before.expires_at:
            _check_end(after, now)
            if _lasts_longer(before, after):
                _check_maker(caller, after)
        await work.keys.put(after)
        work.audit.record(act_of(caller, now, "change", "api_key", key, before, after, client=before.client))
    return after


async def revoke_key(
    identity: Identity, caller: Caller, key: str, provider: str | None = None, expected: Expected = ANY
) -> None:
    """Make a key useless.

    Raises:
        NotFound: there is no such key within the caller's scope, or it is not this provider's.
        Stale: it has changed since the caller read it.
    """
    now = identity.clock.now()
    async with identity.store.work() as work:
        found = await _held(work, caller, key, expected, provider)
        await work.keys.revoke(key, now)
        work.audit.record(act_of(caller, now, "revoke", "api_key", key, found, None, client=found.client))


async def keys_of(identity: Identity, caller: Caller, provider: str) -> list[ApiKey]:
    """The keys of a provider that work; those of a shared one are the staff's.

    Raises:
        NotFound: there is no such provider within the caller's scope.
    """
    found = await identity.catalog.provider(provider, caller.scope)
    if found is None:
        raise NotFound("provider", provider)
    return await identity.keys.of_provider(provider) if caller.scope.sees(found.client) else []


async def key_holder(identity: Identity, secret: str) -> ApiKey:
    """The key with this secret; that it is in use is written down.

    Raises:
        Unauthorized: there is none that works.
    """
    now = identity.clock.now()
    key = await identity.keys.by_digest(digest_of(secret), now) if secret.startswith(KEY_MARK) else None
    if key is None:
        raise Unauthorized("the API key is not valid")
    await identity.keys.used(key.id, now)
    return key


async def _held(
    work: IdentityWork, caller: Caller, key: str, expected: Expected, provider: str | None = None
) -> ApiKey:
    """The key, held against others, if it is within the caller's scope and what the caller has seen."""
    found = await work.keys.one(key)
    if found is None or not caller.scope.sees(found.client) or provider not in (None, found.provider):
        raise NotFound("API key", key)
    expected.check(found.but_for_its_use)
    return found


def _check_end(key: ApiKey, now: datetime) -> None:
    if key.expires_at is not None and key.expires_at <= now:
        raise InvalidInput("expires_at", "lies in the past")


def _check_maker(caller: Caller, key: ApiKey) -> None:
    """Refuses that `caller` makes such a key."""
    if not key.permissions:
        raise InvalidInput("permissions", "a key needs at least one")
    if (key.provider or key.device) and caller.client is not None:
        raise Forbidden("keys that hand readings in are made by staff")
    if not caller.may_grant(key.permissions, key.client):
        raise Forbidden("a key may do no more than who makes it, and for no other client")
    if caller.until is not None and (key.expires_at is None or key.expires_at > caller.until):
        raise Forbidden(f"a key lasts no longer than the one that makes it: until {caller.until.isoformat()}")


def _lasts_longer(before: ApiKey, after: ApiKey) -> bool:
    if before.expires_at is None:
        return False
    return after.expires_at is None or after.expires_at > before.expires_at
