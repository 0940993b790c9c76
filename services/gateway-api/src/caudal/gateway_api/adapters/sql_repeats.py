"""Idempotency-Keys and the answers that they got, in SQL."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.gateway_api.adapters.tables import repeats
from caudal.gateway_api.domain.repeats import Attempt, Claim, ClaimState

ABANDONED_AFTER = timedelta(seconds=30)
"""What was claimed so long ago and is not done was given up by a crash."""


class SqlRepeats:
    """Idempotency-Keys of the last day; of any number of requests that come at once with one key, one gets it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(self, attempt: Attempt, id: str, at: datetime) -> Claim:
        row = {
            "owner": attempt.owner,
            "key": attempt.key,
            "id": id,
            "digest": attempt.digest,
            "state": ClaimState.CLAIMED.value,
            "claimed_at": at,
            "answer": None,
        }
        async with transaction(self._engine) as connection:
            if await _insert_unless_there(connection, row):
                return _claim_of(row, is_ours=True)
            query = sa.select(repeats).where(_key_is(attempt)).with_for_update()
            standing = dict((await connection.execute(query)).mappings().one())
            abandoned = standing["state"] == ClaimState.CLAIMED and standing["claimed_at"] <= at - ABANDONED_AFTER
            if abandoned and standing["digest"] == attempt.digest:
                # The same id again, so that what may have been done is recognised.
                await connection.execute(sa.update(repeats).where(_key_is(attempt)).values(claimed_at=at))
                return _claim_of(standing, is_ours=True)
        return _claim_of(standing, is_ours=False)

    async def done(self, attempt: Attempt, answer: str) -> None:
        values = {"state": ClaimState.DONE.value, "answer": answer}
        async with transaction(self._engine) as connection:
            await connection.execute(sa.update(repeats).where(_key_is(attempt)).values(values))

    async def release(self, attempt: Attempt, id: str) -> None:
        mine = sa.and_(_key_is(attempt), repeats.c.id == id, repeats.c.state == ClaimState.CLAIMED.value)
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(repeats).where(mine))

    async def expire(self, now: datetime, age: timedelta) -> int:
        async with transaction(self._engine) as connection:
            return (await connection.execute(sa.delete(repeats).where(repeats.c.claimed_at < now - age))).rowcount


def _key_is(attempt: Attempt) -> sa.ColumnElement[bool]:
    return sa.and_(repeats.c.owner == attempt.owner, repeats.c.key == attempt.key)


async def _insert_unless_there(connection: AsyncConnection, row: dict[str, Any]) -> bool:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return (await connection.execute(insert(repeats).values(row).on_conflict_do_nothing())).rowcount > 0


def _claim_of(row: Mapping[str, Any], is_ours: bool) -> Claim:
    return Claim(
        id=row["id"],
        digest=row["digest"],
        state=ClaimState(row["state"]),
        claimed_at=row["claimed_at"],
        answer=row["answer"],
        is_ours=is_ours,
    )
