"""Sessions, their refresh tokens, and password resets in SQL, each within a transaction."""

from dataclasses import asdict, fields
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.gateway_api.adapters.tables import password_resets, refresh_tokens, sessions
from caudal.gateway_api.domain.sessions import Family, Reset, Session

_by_digest = (
    sa.select(sessions, refresh_tokens.c.generation)
    .select_from(sessions.join(refresh_tokens, refresh_tokens.c.session == sessions.c.id))
    .where(refresh_tokens.c.digest == sa.bindparam("digest"))
    .with_for_update(of=sessions)
)
_latest = (
    sa.select(refresh_tokens.c.generation, refresh_tokens.c.issued_at)
    .where(refresh_tokens.c.session == sa.bindparam("session"))
    .order_by(refresh_tokens.c.generation.desc())
    .limit(1)
)


class SqlSessions:
    """Logins; only digests of their refresh tokens are kept."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def begin(self, session: Session, digest: str) -> None:
        await self._connection.execute(sa.insert(sessions).values(asdict(session)))
        await self.renew(session.id, 1, digest, session.created_at)

    async def family_of(self, digest: str) -> Family | None:
        row = (await self._connection.execute(_by_digest, {"digest": digest})).mappings().one_or_none()
        if row is None:
            return None
        # Asked after the session is held, so that whoever held it before has been seen.
        latest = (await self._connection.execute(_latest, {"session": row["id"]})).one()
        return Family(
            session=row["id"],
            user=row["user"],
            generation=row["generation"],
            latest=latest.generation,
            renewed_at=latest.issued_at,
            expires_at=row["expires_at"],
            ended=row["ended_at"] is not None,
        )

    async def renew(self, session: str, generation: int, digest: str, at: datetime) -> None:
        row = {"session": session, "generation": generation, "digest": digest, "issued_at": at}
        await self._connection.execute(sa.insert(refresh_tokens).values(row))

    async def end(self, session: str, at: datetime, because: str) -> bool:
        return await self._end(sessions.c.id == session, at, because) > 0

    async def end_all(self, user: str, at: datetime, because: str, but: str | None = None) -> int:
        others = sessions.c.id != but if but is not None else sa.true()
        return await self._end(sa.and_(sessions.c.user == user, others), at, because)

    async def _end(self, which: sa.ColumnElement[bool], at: datetime, because: str) -> int:
        statement = sa.update(sessions).where(which, sessions.c.ended_at.is_(None))
        return (await self._connection.execute(statement.values(ended_at=at, ended_because=because))).rowcount


class SqlResets:
    """Forgotten passwords; only digests of the tokens are kept."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def ask(self, reset: Reset, digest: str | None = None) -> None:
        row = asdict(reset)
        await self._connection.execute(sa.insert(password_resets).values(**row, digest=digest))

    async def by_digest(self, digest: str) -> Reset | None:
        query = sa.select(password_resets).where(password_resets.c.digest == digest).with_for_update()
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return Reset(**{field.name: row[field.name] for field in fields(Reset)}) if row else None

    async def close_all(self, user: str, at: datetime) -> None:
        await self._close(password_resets.c.user == user, at)

    async def close_waiting(self, user: str, at: datetime) -> None:
        await self._close(sa.and_(password_resets.c.user == user, password_resets.c.digest.is_(None)), at)

    async def _close(self, which: sa.ColumnElement[bool], at: datetime) -> None:
        statement = sa.update(password_resets).where(which, password_resets.c.used_at.is_(None))
        await self._connection.execute(statement.values(used_at=at))


class ExpiredSessions:
    """Sessions and resets that are long over."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def expire(self, now: datetime, age: timedelta) -> int:
        over = sa.or_(sessions.c.expires_at < now - age, sessions.c.ended_at < now - age)
        async with transaction(self._engine) as connection:
            gone = await connection.execute(sa.delete(sessions).where(over))
            await connection.execute(sa.delete(password_resets).where(password_resets.c.expires_at < now - age))
        return gone.rowcount
