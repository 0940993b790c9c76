"""Changing a password, and getting in without one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.gateway_api.domain.attempts import network_of
from caudal.gateway_api.domain.audit import Act, act_of
from caudal.gateway_api.domain.errors import Conflict, Forbidden
from caudal.gateway_api.domain.permissions import Caller, Origin, User
from caudal.gateway_api.domain.sessions import Reset, checked_password
from caudal.gateway_api.domain.tenancy import normal_email
from caudal.gateway_api.handlers.identity import NOBODY, Identity, digest_of, new_secret
from caudal.gateway_api.ports import IdentityWork

RESET_AGE = timedelta(days=1)
"""How long a request, and the token issued for it, is good."""


@dataclass(frozen=True, slots=True)
class IssuedReset:
    """A token with which a user sets a new password, once."""

    user: str
    token: str
    expires_at: datetime


async def change_password(identity: Identity, caller: Caller, current: str, new: str) -> None:
    """Give the caller another password and end the caller's other sessions.

    Raises:
        InvalidInput: the current password is another, or the new one cannot be used.
        TooManyAttempts: the current password was wrong too often.
    """
    checked_password(new, caller.email, "new_password")
    now = identity.clock.now()
    attempt = await identity.attempts.begin(caller.email, network_of(caller.origin.address), now)
    found = await identity.users.by_email(caller.email)
    if not await identity.passwords.match(current, found[1] if found else None) or found is None:
        raise InvalidInput("current_password", "is wrong")
    if new == current:
        raise InvalidInput("new_password", "is the one that you have")
    await identity.attempts.succeeded(attempt, caller.email)
    hashed = await identity.passwords.hashed(new)
    async with identity.store.work() as work:
        if not await work.people.has_password(caller.user, found[1]):
            # Somebody was faster, such as the one who had it reset because it was known to others.
            raise InvalidInput("current_password", "is wrong")
        await _set(work, caller.user, hashed, now, but=caller.session)
        work.audit.record(act_of(caller, now, "password_changed", "user", caller.user, client=caller.client))


async def request_reset(identity: Identity, email: str, origin: Origin) -> None:
    """Note that somebody has forgotten a password; whether there is such a user cannot be told from outside.

    Raises:
        TooManyAttempts: asked for too often.
    """
    account, now = normal_email(email), identity.clock.now()
    # Counted by themselves: who failed to log in may ask, and who asks may still log in.
    await identity.attempts.begin(f"reset {account}", f"reset {network_of(origin.address)}", now)
    async with identity.store.work() as work:
        known = await work.people.by_email(account)
        user = known.user if known is not None and known.user.active else None
        if user is not None:
            await work.resets.close_waiting(user.id, now)
            await work.resets.ask(_reset(user, now, address=origin.address))
        # Of strangers, too, so that the two cost the same.
        work.audit.record(_by_user(user, "reset_requested", now, origin))


async def issue_reset(identity: Identity, caller: Caller, email: str) -> IssuedReset:
    """A token for a user who has forgotten the password; it is told only here.

    Raises:
        NotFound: there is no such user within the caller's scope.
        Forbidden: the user may more than the caller, who would come in as somebody greater.
        Conflict: the user, or the user's client, is switched off.
    """
    account, now, secret = normal_email(email), identity.clock.now(), new_secret()
    async with identity.store.work() as work:
        known = await work.people.by_email(account)
        if known is None or not caller.scope.sees(known.user.client):
            raise NotFound("user", account)
        if not caller.may_grant(known.permissions, known.user.client):
            raise Forbidden("this user may do things that you may not")
        user = known.user
        if not user.active:
            raise Conflict("nobody comes in as this user: it, or its client, is switched off")
        await work.resets.close_all(user.id, now)
        reset = _reset(user, now, address=caller.origin.address, issued_by=caller.name)
        await work.resets.ask(reset, digest_of(secret))
        work.audit.record(act_of(caller, now, "reset_issued", "user", user.id, client=user.client))
    return IssuedReset(user.id, secret, reset.expires_at)


async def use_reset(identity: Identity, secret: str, new: str, origin: Origin) -> None:
    """Give a user the new password that a reset token stands for, and end all of the user's sessions.

    Who has guessed at the old one until the account was closed comes in with the new one.

    Raises:
        InvalidInput: the token is worth nothing, or the password cannot be used.
    """
    digest, now = digest_of(secret), identity.clock.now()
    async with identity.store.work() as work:
        user = await _holder(work, digest, now)
    checked_password(new, user.email, "password")
    # Only now: a hash is dear, and anybody can send a token.
    hashed = await identity.passwords.hashed(new)
    async with identity.store.work() as work:
        user = await _holder(work, digest, now)
        await _set(work, user.id, hashed, now)
        work.audit.record(_by_user(user, "password_reset", now, origin))
    await identity.attempts.forget(user.email)


async def _holder(work: IdentityWork, digest: str, now: datetime) -> User:
    """Who may set a new password with the reset token of this digest."""
    reset = await work.resets.by_digest(digest)
    is_good = reset is not None and reset.used_at is None and now < reset.expires_at
    known = await work.people.by_id(reset.user) if reset is not None and is_good else None
    if known is None or not known.user.active:
        raise InvalidInput("token", "is not valid, has been used, or has ended")
    return known.user


async def _set(work: IdentityWork, user: str, hashed: str, now: datetime, but: str | None = None) -> None:
    # The user first: a login that is under way has begun its session by then, or finds another password.
    await work.people.set_password(user, hashed, now)
    await work.sessions.end_all(user, now, "password", but=but)
    await work.resets.close_all(user, now)


def _reset(user: User, now: datetime, address: str | None, issued_by: str | None = None) -> Reset:
    return Reset(
        id=uuid4().hex,
        user=user.id,
        requested_at=now,
        expires_at=now + RESET_AGE,
        address=address,
        issued_by=issued_by,
    )


def _by_user(user: User | None, action: str, at: datetime, origin: Origin) -> Act:
    """What a user did who has not logged in, or somebody whom nobody knows."""
    return Act(
        at=at,
        who=user.email if user else NOBODY,
        action=action,
        kind="user",
        key=user.id if user else "",
        client=user.client if user else None,
        address=origin.address,
        request=origin.request,
    )
