"""Many rows in one statement, past SQLAlchemy's work on each value: what the hot path of the ledger writes with.

PostgreSQL takes a few rows as one JSON parameter, so that several tables are one statement. Many rows go by COPY into a
temporary table, and from there. SQLite takes rows one by one, in C.

Measured, µs a row of the client's and of the server's CPU, 2000 at once: raw readings 3 and 12 as JSON, 3 and 11 by
COPY; rows of the ledger 3 and 18 as JSON, 4 and 10 by COPY. Arrays (`unnest`) cost the client 10, `executemany` 6.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import LargeBinary, Table

from caudal.common.adapters.sql import UtcDateTime
from caudal.processor.adapters.tables import HEADS, OUTBOX, RAW, REJECTED, ROWS, WINDOW_ROWS

_json = msgspec.json.Encoder()

DO_NOTHING = "on conflict do nothing"
COPIED_FROM = 200
"""So many rows are worth the round trips of a COPY."""

Tuples = Sequence[tuple[Any, ...]]
"""Rows in the order of their table's columns."""


class BulkInsert:
    """How rows go into one table."""

    def __init__(
        self, table: Table, conflict: str, *, without: str | None = None, are_mostly_new: bool = False
    ) -> None:
        """`are_mostly_new`: it is rare that any of the rows is there already."""
        columns = [column for column in table.c if column.name != without]
        self._table = table.name
        self._are_mostly_new = are_mostly_new
        self._names = [column.name for column in columns]
        self._into = f"insert into {table.name} ({', '.join(self._names)})"
        self._conflict = conflict
        self._staged = f"staged_{table.name}"
        self._stage = (
            f"create temporary table if not exists {self._staged} on commit delete rows as "
            f"select {', '.join(self._names)} from {table.name} with no data"
        )
        self._recordset = ", ".join(f"{column.name} {_received_as(column.type)}" for column in columns)
        # Bytes in JSON would have to be base64; few rows have any, and arrays of few elements are cheap.
        self._arrays = [f"{_received_as(column.type)}[]" for column in columns]
        self._is_binary = any(isinstance(column.type, LargeBinary) for column in columns)

    @property
    def parameters_count(self) -> int:
        """How many parameters the statement for PostgreSQL takes."""
        return len(self._arrays) if self._is_binary else 1

    def postgres(self, first: int, condition: str = "") -> str:
        """The statement that takes its rows from the parameters from `$first` on, if `condition` holds."""
        source = f"json_to_recordset(${first}::json) as given({self._recordset})"
        if self._is_binary:
            source = f"unnest({', '.join(f'${first + i}::{kind}' for i, kind in enumerate(self._arrays))})"
        return f"{self._into} select * from {source} {condition} {self._conflict}"

    def parameters(self, rows: Tuples) -> list[Any]:
        """Rows as that statement takes them."""
        if self._is_binary:
            return [list(column) for column in zip(*rows, strict=True)]
        return [_json.encode([dict(zip(self._names, row, strict=True)) for row in rows]).decode()]

    async def copy(self, driver: asyncpg.Connection, rows: Tuples) -> None:
        """Insert many rows within a transaction: straight into the table, or by way of a temporary one."""
        if self._are_mostly_new and await self._copy_new(driver, rows):
            return
        await driver.execute(self._stage)
        await driver.copy_records_to_table(self._staged, records=rows, columns=self._names)
        await driver.execute(f"{self._into} select * from {self._staged} {self._conflict}")

    async def _copy_new(self, driver: asyncpg.Connection, rows: Tuples) -> bool:
        """Copy rows into the table; whether all are new. If not, none is inserted."""
        await driver.execute("savepoint before_copy")
        try:
            await driver.copy_records_to_table(self._table, records=rows, columns=self._names)
        except asyncpg.UniqueViolationError:
            await driver.execute("rollback to savepoint before_copy")
            return False
        return True

    def sqlite(self) -> str:
        """The statement for one row."""
        return f"{self._into} values ({', '.join('?' for _ in self._names)}) {self._conflict}"


def _received_as(kind: object) -> str:
    if isinstance(kind, UtcDateTime):
        return "timestamptz"
    return "bytea" if isinstance(kind, LargeBinary) else "text"


def _replace(table: Table, where: str = "") -> str:
    key = ", ".join(column.name for column in table.primary_key)
    new = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.c if not column.primary_key)
    return f"on conflict ({key}) do update set {new} {where}"


_NEWER = f"where (excluded.received_at, excluded.raw_id) > ({WINDOW_ROWS.name}.received_at, {WINDOW_ROWS.name}.raw_id)"

INSERTS: Mapping[str, BulkInsert] = {
    "add_raw": BulkInsert(RAW, DO_NOTHING, are_mostly_new=True),
    "add_rows": BulkInsert(ROWS, _replace(ROWS), are_mostly_new=True),
    "put_rows": BulkInsert(ROWS, _replace(ROWS)),
    "put_heads": BulkInsert(HEADS, _replace(HEADS)),
    "enqueue": BulkInsert(OUTBOX, "", without="id"),
    "put_window_rows": BulkInsert(WINDOW_ROWS, _replace(WINDOW_ROWS, _NEWER)),
    "add_heads": BulkInsert(HEADS, DO_NOTHING),
    "add_rejected": BulkInsert(REJECTED, DO_NOTHING),
}
