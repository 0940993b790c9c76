"""Many rows in one statement, past SQLAlchemy's work on each value: what the hot path of the ledger writes with.

PostgreSQL takes a table's rows as one JSON parameter, and the inserts into several tables as one statement, so that a
transaction is three round trips. SQLite takes rows one by one, in C. Measured for 1000 raw readings, client's CPU:
JSON 4 µs a row, executemany 6, arrays (`unnest`) 10.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Protocol

import asyncpg
import msgspec
from sqlalchemy import LargeBinary, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.common.adapters.sql import UtcDateTime
from caudal.processor.adapters.tables import HEADS, OUTBOX, RAW, REJECTED, ROWS, WINDOW_ROWS

_json = msgspec.json.Encoder()

DO_NOTHING = "on conflict do nothing"

Tuples = Sequence[tuple[Any, ...]]
"""Rows in the order of their table's columns."""


class BulkInsert:
    """How rows go into one table."""

    def __init__(self, table: Table, conflict: str, *, without: str | None = None) -> None:
        columns = [column for column in table.c if column.name != without]
        self._names = [column.name for column in columns]
        self._into = f"insert into {table.name} ({', '.join(self._names)})"
        self._source = ", ".join(f"{column.name} {_received_as(column.type)}" for column in columns)
        self._values = ", ".join(
            f"decode({column.name}, 'base64')" if isinstance(column.type, LargeBinary) else column.name
            for column in columns
        )
        self._conflict = conflict

    def postgres(self, number: int) -> str:
        """The statement that takes its rows from parameter `$number`."""
        recordset = f"json_to_recordset(${number}::json) as given({self._source})"
        return f"{self._into} select {self._values} from {recordset} {self._conflict}"

    def parameter(self, rows: Tuples) -> str:
        """Rows as PostgreSQL takes them; bytes travel as base64."""
        return _json.encode([dict(zip(self._names, row, strict=True)) for row in rows]).decode()

    def sqlite(self) -> str:
        """The statement for one row."""
        return f"{self._into} values ({', '.join('?' for _ in self._names)}) {self._conflict}"


def _received_as(kind: object) -> str:
    return "timestamptz" if isinstance(kind, UtcDateTime) else "text"


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


class Execute(Protocol):
    """Runs statements of the hot path inside a transaction, in the words of its database."""

    async def insert(self, rows: Mapping[str, Tuples]) -> None:
        """Insert rows by the statements that `rows` names; where one replaces, each key comes once."""
        ...

    async def locked_heads(self, points: Sequence[str]) -> Sequence[tuple[str, datetime | str | None, str | None]]:
        """(point, measured_at, state) of these points, held until the end of the transaction."""
        ...


class PostgresExecute:
    """By asyncpg itself."""

    def __init__(self, driver: asyncpg.Connection) -> None:
        self._driver = driver

    async def insert(self, rows: Mapping[str, Tuples]) -> None:
        """All in one statement."""
        wanted = {name: tuples for name, tuples in rows.items() if tuples}
        if wanted:
            parameters = [INSERTS[name].parameter(tuples) for name, tuples in wanted.items()]
            await self._driver.execute(_postgres(tuple(wanted)), *parameters)

    async def locked_heads(self, points: Sequence[str]) -> Sequence[tuple[str, datetime | str | None, str | None]]:
        """In one order for all replicas."""
        return [(row[0], row[1], row[2]) for row in await self._driver.fetch(_LOCK_POSTGRES, list(points))]


class SqliteExecute:
    """By the driver below SQLAlchemy."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def insert(self, rows: Mapping[str, Tuples]) -> None:
        """One after the other."""
        for name, tuples in rows.items():
            if tuples:
                await self._connection.exec_driver_sql(INSERTS[name].sqlite(), list(tuples))

    async def locked_heads(self, points: Sequence[str]) -> Sequence[tuple[str, datetime | str | None, str | None]]:
        """The transaction began by locking the whole database."""
        found = await self._connection.exec_driver_sql(_HEADS_SQLITE, (json.dumps(list(points)),))
        heads: Sequence[Any] = found.all()
        return [(row[0], row[1], row[2]) for row in heads]


_LOCK_POSTGRES = (
    "select point, measured_at, state_json from processor_heads where point = any($1::text[]) order by point for update"
)
_HEADS_SQLITE = (
    "select point, measured_at, state_json from processor_heads where point in (select value from json_each(?))"
)


@cache
def _postgres(names: tuple[str, ...]) -> str:
    """Several inserts as one statement: all but the last in a WITH."""
    *others, last = [INSERTS[name].postgres(number) for number, name in enumerate(names, 1)]
    together = ", ".join(f"part{i} as ({part})" for i, part in enumerate(others))
    return f"with {together} {last}" if others else last
