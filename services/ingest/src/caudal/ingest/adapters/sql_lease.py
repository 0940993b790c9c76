"""Who of several replicas does something that one of them does at a time, in SQL."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.ingest.adapters.patient_catalog import asking_again
from caudal.ingest.adapters.sql_tables import rounds


class SqlLease:
    """A `Lease` in a row of `ingest_rounds`.

    Args:
        engine: Where.
        name: Of what is held; at most 16 characters.
    """

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def hold(self, holder: str, now: datetime, until: datetime) -> bool:
        """As `Lease`."""
        row = {"name": self._name, "holder": holder, "begun_at": now, "until": until}
        free = sa.or_(rounds.c.holder.is_(None), rounds.c.holder == holder, rounds.c.until < now)
        taken = (
            self._insert(rounds)
            .values(row)
            .on_conflict_do_update(index_elements=[rounds.c.name], set_=row, where=free)
            .returning(rounds.c.name)
        )
        with asking_again():
            async with transaction(self._engine) as connection:
                return (await connection.execute(taken)).first() is not None

    async def release(self, holder: str) -> None:
        """As `Lease`."""
        ours = sa.and_(rounds.c.name == self._name, rounds.c.holder == holder)
        with asking_again():
            async with transaction(self._engine) as connection:
                await connection.execute(sa.update(rounds).where(ours).values(holder=None))
