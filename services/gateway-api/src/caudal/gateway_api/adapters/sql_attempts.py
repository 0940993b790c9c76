"""Failed logins in SQL."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.gateway_api.adapters.tables import login_attempts
from caudal.gateway_api.domain.attempts import ATTEMPT_AGE, ATTEMPTS, digest_of
from caudal.gateway_api.domain.errors import TooManyAttempts


class SqlLoginAttempts:
    """Failed logins, counted so that many at once are no way around the limit.

    An attempt is written down as failed, and committed, before the failures are counted: of any number that run at
    once, each sees all that were written before it, so no more than `ATTEMPTS` get through.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, account: str, address: str, at: datetime) -> str:
        since = at - ATTEMPT_AGE
        row = {"account": digest_of(account), "address": digest_of(address), "at": at}
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(login_attempts).where(login_attempts.c.at <= since))
            added = await connection.execute(sa.insert(login_attempts).values(row).returning(login_attempts.c.id))
            attempt = int(added.scalar_one())
        async with transaction(self._engine) as connection:
            oldest = await _oldest_beyond_limit(connection, row["account"], row["address"], since)
            if oldest is None:
                return str(attempt)
            await connection.execute(sa.delete(login_attempts).where(login_attempts.c.id == attempt))
        raise TooManyAttempts(max(1.0, (oldest + ATTEMPT_AGE - at).total_seconds()))

    async def succeeded(self, attempt: str, account: str) -> None:
        mine = sa.or_(login_attempts.c.id == int(attempt), login_attempts.c.account == digest_of(account))
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(login_attempts).where(mine))

    async def forget(self, account: str) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(login_attempts).where(login_attempts.c.account == digest_of(account)))


async def _oldest_beyond_limit(
    connection: AsyncConnection, account: object, address: object, since: datetime
) -> datetime | None:
    """When the failure was whose ageing lets the next attempt in; None: the limit is not reached."""
    found: list[datetime] = []
    for column, value in ((login_attempts.c.account, account), (login_attempts.c.address, address)):
        query = (
            sa.select(login_attempts.c.at)
            .where(column == value, login_attempts.c.at > since)
            .order_by(login_attempts.c.id.desc())
            .offset(ATTEMPTS)
            .limit(1)
        )
        found += (await connection.execute(query)).scalars()
    return max(found, default=None)
