"""Who somebody is: logging in, tokens, and providers' keys."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from caudal.common.domain.errors import NotFound
from caudal.common.ports import Clock
from caudal.gateway_api.domain.errors import Unauthorized
from caudal.gateway_api.domain.permissions import ADMIN, EVERYWHERE, NOWHERE, ApiKey, Caller, Origin, User
from caudal.gateway_api.ports import ApiKeys, CatalogStore, LoginAttempts, Passwords, Tokens, Users

KEY_MARK = "caudal_"
"""What every API key begins with, so that a leaked one is found by who looks for it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The ports that identity needs."""

    users: Users
    passwords: Passwords
    tokens: Tokens
    attempts: LoginAttempts
    keys: ApiKeys
    catalog: CatalogStore
    clock: Clock


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The outcome of a login."""

    token: str
    expires_at: datetime
    caller: Caller


async def log_in(identity: Identity, email: str, password: str, address: str) -> LoggedIn:
    """A token for the user with this address and password.

    Raises:
        Unauthorized: there is no such user, or the password is another; the two look alike and cost the same.
        TooManyAttempts: too many failed before.
    """
    account = normal_email(email)
    attempt = await identity.attempts.begin(account, address, identity.clock.now())
    found = await identity.users.by_email(account)
    matches = await identity.passwords.match(password, found[1] if found else None)
    if not found or not matches or not found[0].active:
        raise Unauthorized("email or password is wrong")
    await identity.attempts.succeeded(attempt, account)
    user = found[0]
    token, expires_at = identity.tokens.issued(user.id)
    return LoggedIn(token, expires_at, await caller_of(identity, token))


async def caller_of(identity: Identity, token: str, origin: Origin = NOWHERE) -> Caller:
    """Who holds this token.

    Raises:
        Unauthorized: nobody, or somebody who may no longer come in.
    """
    known = await identity.users.by_id(identity.tokens.subject_of(token))
    if known is None or not known.user.active:
        raise Unauthorized("the token is not valid")
    user = known.user
    return Caller(
        user=user.id,
        email=user.email,
        role=user.role,
        client=user.client,
        permissions=known.permissions,
        origin=origin,
    )


async def ensure_admin(identity: Identity, email: str, password: str | None) -> str | None:
    """Make the first administrator if there is no user yet; the password, if it was made up here."""
    if not await identity.users.is_empty():
        return None
    chosen = secrets.token_urlsafe(12) if password is None else password
    user = User(id=uuid4().hex, email=normal_email(email), role=ADMIN)
    added = await identity.users.add_first(user, await identity.passwords.hashed(chosen))
    return chosen if added and password is None else None


async def create_key(identity: Identity, provider: str, label: str) -> tuple[ApiKey, str]:
    """A new key for a provider, and its secret, which is told only here.

    Raises:
        NotFound: there is no such provider.
    """
    secret = KEY_MARK + secrets.token_urlsafe(32)
    key = ApiKey(id=uuid4().hex, provider=provider, prefix=secret[: len(KEY_MARK) + 6], label=label)
    await identity.keys.add(key, _digest(secret), identity.clock.now())
    return key, secret


async def revoke_key(identity: Identity, provider: str, key: str) -> None:
    """Make a key useless.

    Raises:
        NotFound: the provider has no such key.
    """
    if not await identity.keys.revoke(provider, key, identity.clock.now()):
        raise NotFound("API key", key)


async def keys_of(identity: Identity, provider: str) -> list[ApiKey]:
    """The keys of a provider that work.

    Raises:
        NotFound: there is no such provider.
    """
    if await identity.catalog.provider(provider, EVERYWHERE) is None:
        raise NotFound("provider", provider)
    return await identity.keys.of_provider(provider)


async def key_holder(identity: Identity, secret: str) -> ApiKey:
    """The key with this secret.

    Raises:
        Unauthorized: there is none.
    """
    key = await identity.keys.by_digest(_digest(secret)) if secret.startswith(KEY_MARK) else None
    if key is None:
        raise Unauthorized("the API key is not valid")
    return key


def normal_email(email: str) -> str:
    """The one spelling under which an address is kept."""
    return email.strip().lower()


def _digest(secret: str) -> str:
    """Keys have 256 random bits: a plain digest is enough, and it can be looked up."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
