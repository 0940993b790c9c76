"""What the ledger has of a window, by the view that the processor publishes."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import UtcDateTime, reading
from caudal.common.domain.errors import Transient

_raw = sa.table("ledger_raw", sa.column("window_id"), sa.column("received_at", UtcDateTime))


class SqlWindowProgress:
    """Asks by time of receipt, for which the ledger has an index."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def has_taken(self, window: str, since: datetime) -> bool:
        query = sa.select(sa.literal(1)).where(_raw.c.window_id == window, _raw.c.received_at >= since).limit(1)
        try:
            async with reading(self._engine) as connection:
                return (await connection.execute(query)).first() is not None
        except SQLAlchemyError as error:
            raise Transient(f"the ledger cannot be read: {error.__cause__ or error}"[:300], 2.0) from error
