"""Who somebody is: logging in, staying in, and going out."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from caudal.common.ports import Clock
from caudal.gateway_api.domain.attempts import network_of
from caudal.gateway_api.domain.audit import Act, act_of
from caudal.gateway_api.domain.errors import Unauthorized
from caudal.gateway_api.domain.permissions import ADMIN, NOWHERE, Caller, Known, Origin, User
from caudal.gateway_api.domain.sessions import Family, Session, Verdict, judged
from caudal.gateway_api.domain.tenancy import normal_email
from caudal.gateway_api.ports import (
    ApiKeys,
    CatalogStore,
    IdentityStore,
    IdentityWork,
    LoginAttempts,
    Passwords,
    Tokens,
    Users,
)

NOBODY = "nobody"
"""Who did it, in the audit log, as long as nobody has come in."""
MAX_AGENT = 200
"""Characters kept of what a client says that it is."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The ports that identity needs."""

    users: Users
    passwords: Passwords
    tokens: Tokens
    attempts: LoginAttempts
    keys: ApiKeys
    store: IdentityStore
    catalog: CatalogStore
    clock: Clock
    session_age: timedelta = timedelta(days=30)
    """How long a login can be renewed."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The outcome of a login, or of its renewal."""

    token: str
    expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime
    caller: Caller


async def log_in(identity: Identity, email: str, password: str, origin: Origin, agent: str = "") -> LoggedIn:
    """Tokens for the user with this address and password.

    Raises:
        Unauthorized: there is no such user, or the password is another; the two look alike and cost the same.
        TooManyAttempts: too many failed before.
    """
    account = normal_email(email)
    attempt = await identity.attempts.begin(account, network_of(origin.address), identity.clock.now())
    found = await identity.users.by_email(account)
    matches = await identity.passwords.match(password, found[1] if found else None)
    if not found or not matches or not found[0].active:
        await _record_failure(identity, found[0] if found else None, origin)
        raise Unauthorized("email or password is wrong")
    await identity.attempts.succeeded(attempt, account)
    return await _begin(identity, *found, origin, agent)


async def _record_failure(identity: Identity, user: User | None, origin: Origin) -> None:
    """Write a failed login down; of what was typed nothing, since it may be a password in the wrong field."""
    act = Act(
        at=identity.clock.now(),
        who=user.email if user else NOBODY,
        action="login_failed",
        kind="user",
        key=user.id if user else "",
        client=user.client if user else None,
        address=origin.address,
        request=origin.request,
    )
    async with identity.store.work() as work:
        work.audit.record(act)


async def _begin(identity: Identity, user: User, matched: str, origin: Origin, agent: str) -> LoggedIn:
    now = identity.clock.now()
    session = Session(
        id=uuid4().hex,
        user=user.id,
        address=origin.address,
        agent=agent[:MAX_AGENT],
        created_at=now,
        expires_at=now + identity.session_age,
    )
    secret = new_secret()
    async with identity.store.work() as work:
        # Who changed the password while it was compared ended all sessions: none begins with the old one after that.
        known = await work.people.by_id(user.id) if await work.people.has_password(user.id, matched) else None
        if known is None or not known.user.active:
            raise Unauthorized("email or password is wrong")
        caller = _caller(known, session.id, origin)
        await work.sessions.begin(session, digest_of(secret))
        work.audit.record(act_of(caller, now, "login", "session", session.id, client=caller.client))
    return LoggedIn(*identity.tokens.issued(user.id, session.id), secret, session.expires_at, caller)


async def refresh(identity: Identity, secret: str, origin: Origin) -> LoggedIn:
    """New tokens for a refresh token, which is used up by it. One that was used before ends its session.

    Raises:
        Unauthorized: the token is worth nothing.
    """
    now, successor = identity.clock.now(), new_secret()
    async with identity.store.work() as work:
        family = await work.sessions.family_of(digest_of(secret))
        known = await work.people.by_id(family.user) if family else None
        if family and known:
            renewed = await _renew(work, family, known, successor, now, origin)
            if renewed is not None:
                token, expires_at = identity.tokens.issued(family.user, family.session)
                return LoggedIn(token, expires_at, successor, family.expires_at, renewed)
    raise Unauthorized("the refresh token is not valid")


async def _renew(
    work: IdentityWork, family: Family, known: Known, successor: str, now: datetime, origin: Origin
) -> Caller | None:
    """Who may go on; None: nobody. What the token is worth decides, and a stolen one takes the session with it."""
    caller, verdict = _caller(known, family.session, origin), judged(family, now)
    if verdict is Verdict.REUSED:
        await work.sessions.end(family.session, now, verdict.value)
        work.audit.record(act_of(caller, now, "token_reused", "session", family.session, client=caller.client))
    if verdict is not Verdict.GOOD or not known.user.active:
        return None
    await work.sessions.renew(family.session, family.generation + 1, digest_of(successor), now)
    return caller


async def log_out(identity: Identity, caller: Caller, everywhere: bool) -> None:
    """End the caller's session, or all of the caller's sessions."""
    now = identity.clock.now()
    async with identity.store.work() as work:
        if everywhere:
            await work.sessions.end_all(caller.user, now, "logout")
        elif caller.session is not None:
            await work.sessions.end(caller.session, now, "logout")
        key = "all" if everywhere else caller.session or ""
        work.audit.record(act_of(caller, now, "logout", "session", key, client=caller.client))


async def caller_of(identity: Identity, token: str, origin: Origin = NOWHERE) -> Caller:
    """Who holds this token.

    Raises:
        Unauthorized: nobody, or somebody who may no longer come in.
    """
    bearer = identity.tokens.read(token)
    known = await identity.users.known(bearer.user, bearer.session)
    if known is None or not known.user.active:
        raise Unauthorized("the token is not valid")
    return _caller(known, bearer.session, origin)


def _caller(known: Known, session: str, origin: Origin) -> Caller:
    return Caller(
        user=known.user.id,
        email=known.user.email,
        role=known.user.role,
        client=known.user.client,
        permissions=known.permissions,
        session=session,
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


def new_secret() -> str:
    """256 bits that nobody can guess."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """What is kept of a secret of ours: it has 256 random bits, so a plain digest is enough and can be looked up."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
