"""Many rows in one statement, past SQLAlchemy's work on each value: what the hot path of the ledger writes with.

PostgreSQL takes a column as an array (`unnest`), and the inserts into several tables as one statement, so that a
transaction is three round trips. SQLite takes rows one by one, in C.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import LargeBinary, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.common.adapters.sql import UtcDateTime
from caudal.processor.adapters.tables import HEADS, OUTBOX, RAW, REJECTED, ROWS, WINDOW_ROWS

DO_NOTHING = "on conflict do nothing"

Tuples = Sequence[tuple[Any, ...]]
"""Rows in the order of their table's columns."""


class BulkInsert:
    """How rows go into one table."""

    def __init__(self, table: Table, conflict: str, *, without: str | None = None) -> None:
        columns = [column for column in table.c if column.name != without]
        self._types = [_array_type(column.type) for column in columns]
        self._into = f"insert into {table.name} ({', '.join(column.name for column in columns)})"
        self._conflict = conflict

    def postgres(self, first: int) -> tuple[str, int]:
        """The statement with a parameter for each column from `$first` on, and the next free parameter."""
        arrays = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(self._types, first))
        return f"{self._into} select * from unnest({arrays}) {self._conflict}", first + len(self._types)

    def sqlite(self) -> str:
        """The statement for one row."""
        return f"{self._into} values ({', '.join('?' for _ in self._types)}) {self._conflict}"


def _array_type(kind: object) -> str:
    if isinstance(kind, UtcDateTime):
        return "timestamptz"
    return "bytea" if isinstance(kind, LargeBinary) else "text"


def _replace(table: Table, where: str = "") -> str:
    key = ", ".join(column.name for column in table.primary_key)
    new = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.c if not column.primary_key)
    return f"on conflict ({key}) do update set {new} {where}"


_NEWER = f"where (excluded.received_at, excluded.raw_id) > ({WINDOW_ROWS.name}.received_at, {WINDOW_ROWS.name}.raw_id)"

INSERTS: Mapping[str, BulkInsert] = {
    "add_raw": BulkInsert(RAW, DO_NOTHING),
    "put_rows": BulkInsert(ROWS, _replace(ROWS)),
    "put_heads": BulkInsert(HEADS, _replace(HEADS)),
    "enqueue": BulkInsert(OUTBOX, "", without="id"),
    "put_window_rows": BulkInsert(WINDOW_ROWS, _replace(WINDOW_ROWS, _NEWER)),
    "add_heads": BulkInsert(HEADS, DO_NOTHING),
    "add_rejected": BulkInsert(REJECTED, DO_NOTHING),
}


async def insert(connection: AsyncConnection, rows: Mapping[str, Tuples]) -> None:
    """Insert rows by the statements that `rows` names; where one replaces, each key comes once."""
    wanted = {name: tuples for name, tuples in rows.items() if tuples}
    if not wanted:
        return
    if connection.dialect.name == "postgresql":
        parameters = [list(column) for tuples in wanted.values() for column in zip(*tuples, strict=True)]
        await connection.exec_driver_sql(_postgres(tuple(wanted)), tuple(parameters))
        return
    for name, tuples in wanted.items():
        await connection.exec_driver_sql(INSERTS[name].sqlite(), list(tuples))


@cache
def _postgres(names: tuple[str, ...]) -> str:
    """Several inserts as one statement: all but the last in a WITH."""
    parts, first = [], 1
    for name in names:
        part, first = INSERTS[name].postgres(first)
        parts.append(part)
    *others, last = parts
    together = ", ".join(f"part{i} as ({part})" for i, part in enumerate(others))
    return f"with {together} {last}" if others else last
