"""Questions to the SQL database, each a statement by itself: `await ask(engine, statement)`."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import kept_connections, lost_connections, reading

Row = Mapping[str, Any]
Question = sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]


async def ask(engine: AsyncEngine, statement: Question, values: Row | None = None) -> Sequence[Row]:
    """The rows of `statement`, with `values` for its named parameters.

    Raises:
        Transient: the database is away, or does not answer within its timeout.
    """
    kept = kept_connections(engine)
    if kept is not None:
        with lost_connections():
            return await kept.ask(statement, values or {})
    async with reading(engine) as connection:
        return [*(await connection.execute(statement, values)).mappings()]


async def ask_one(engine: AsyncEngine, statement: Question, values: Row | None = None) -> Row | None:
    """The first row, if there is any."""
    rows = await ask(engine, statement, values)
    return rows[0] if rows else None


async def ask_value(engine: AsyncEngine, statement: Question, values: Row | None = None) -> Any:
    """The only column of the only row."""
    [row] = await ask(engine, statement, values)
    [value] = row.values()
    return value
