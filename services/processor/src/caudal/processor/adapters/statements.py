"""Many rows in one statement, past SQLAlchemy's work on each value: what the hot path of the ledger writes with.

PostgreSQL takes a column as an array (`unnest`), SQLite takes rows one by one in C.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import LargeBinary, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.common.adapters.sql import UtcDateTime
from caudal.processor.adapters.tables import HEADS, OUTBOX, RAW, REJECTED, ROWS, WINDOW_ROWS

DO_NOTHING = "on conflict do nothing"


class BulkInsert:
    """Inserts rows, given as tuples in the order of the table's columns."""

    def __init__(self, table: Table, dialect: str, conflict: str, *, without: str | None = None) -> None:
        columns = [column for column in table.c if column.name != without]
        names = ", ".join(column.name for column in columns)
        self._is_postgres = dialect == "postgresql"
        if self._is_postgres:
            arrays = ", ".join(f"${i}::{_array_type(column.type)}" for i, column in enumerate(columns, 1))
            source = f"select * from unnest({arrays})"
        else:
            source = f"values ({', '.join('?' for _ in columns)})"
        self._sql = f"insert into {table.name} ({names}) {source} {conflict}"

    async def run(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert these rows; with an `update` on conflict, each key once."""
        if not rows:
            return
        if self._is_postgres:
            await connection.exec_driver_sql(self._sql, tuple(list(column) for column in zip(*rows, strict=True)))
        else:
            await connection.exec_driver_sql(self._sql, list(rows))


def _array_type(kind: object) -> str:
    if isinstance(kind, UtcDateTime):
        return "timestamptz[]"
    return "bytea[]" if isinstance(kind, LargeBinary) else "text[]"


def _replace(table: Table, where: str = "") -> str:
    key = ", ".join(column.name for column in table.primary_key)
    new = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.c if not column.primary_key)
    return f"on conflict ({key}) do update set {new} {where}"


class Statements:
    """What one transaction on the ledger writes."""

    def __init__(self, dialect: str) -> None:
        mine = f"{WINDOW_ROWS.name}.received_at, {WINDOW_ROWS.name}.raw_id"
        newer = f"where (excluded.received_at, excluded.raw_id) > ({mine})"
        self.add_raw = BulkInsert(RAW, dialect, DO_NOTHING)
        self.add_rejected = BulkInsert(REJECTED, dialect, DO_NOTHING)
        self.add_head = BulkInsert(HEADS, dialect, DO_NOTHING)
        self.put_head = BulkInsert(HEADS, dialect, _replace(HEADS))
        self.put_row = BulkInsert(ROWS, dialect, _replace(ROWS))
        self.put_window_row = BulkInsert(WINDOW_ROWS, dialect, _replace(WINDOW_ROWS, newer))
        self.enqueue = BulkInsert(OUTBOX, dialect, "", without="id")


@cache
def statements(dialect: str) -> Statements:
    """Those of this kind of database."""
    return Statements(dialect)
