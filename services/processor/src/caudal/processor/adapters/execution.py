"""How a unit of the ledger is carried out, in the words of its database.

On PostgreSQL the usual unit is one statement: it holds the heads, looks whether they are what this process left there,
and inserts into all tables if they are. What has to read more, or writes much, begins a transaction.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Protocol

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.processor.adapters.statements import COPIED_FROM, INSERTS, Tuples
from caudal.processor.ports import Overtaken

HeadColumns = tuple[str, datetime | str | None, str | None]
"""(point, measured_at, state) as the driver gives them."""

LETTERS = "enqueue"
"""The statement that comes last, wherever there is something to tell."""
REMEMBERED = 20_000
"""Heads kept in memory, at most."""


class Execution(Protocol):
    """One unit: everything it inserts is committed together."""

    async def begin(self) -> None:
        """From here on what is read is read within the transaction.

        Raises:
            Overtaken: another replica has moved a head that was answered from memory.
        """
        ...

    async def heads(self, points: Sequence[str]) -> Sequence[HeadColumns]:
        """The heads of these points that there are; nobody else changes them before the end."""
        ...

    async def insert(self, rows: Mapping[str, Tuples]) -> None:
        """Insert rows by the statements that `rows` names; where one replaces, each key comes once."""
        ...

    async def commit(self, rows: Mapping[str, Tuples]) -> Sequence[int]:
        """Insert these as the last; all of it is on disk when this returns.

        Returns the numbers that the letters of `enqueue` were given, in order; none where the database does not say.

        Raises:
            Overtaken: as `begin`; nothing was kept.
        """
        ...


class RememberedHeads:
    """Heads as this process committed them last."""

    def __init__(self, is_alone: bool) -> None:
        self._is_alone = is_alone
        self._heads: dict[str, HeadColumns] = {}

    def of(self, points: Sequence[str]) -> list[HeadColumns]:
        """The heads of these points; nothing unless all are known."""
        found = [self._heads[point] for point in points if point in self._heads]
        return found if len(found) == len(points) else []

    def keep(self, heads: Sequence[tuple[Any, ...]]) -> None:
        """These were committed."""
        if self._is_alone:
            if len(self._heads) > REMEMBERED:
                self._heads.clear()
            self._heads |= {head[0]: (head[0], head[1], head[2]) for head in heads}

    def forget(self, points: Sequence[str]) -> None:
        """Nobody knows what became of these."""
        for point in points:
            self._heads.pop(point, None)


class PostgresExecution:
    """By asyncpg itself."""

    def __init__(self, driver: asyncpg.Connection, remembered: RememberedHeads) -> None:
        self._driver = driver
        self._remembered = remembered
        self._assumed: list[HeadColumns] = []
        self._is_begun = False

    async def begin(self) -> None:
        """Begin a transaction, unless there is one."""
        if self._is_begun:
            return
        await self._driver.execute("begin")
        self._is_begun = True
        if self._assumed:
            points = sorted(head[0] for head in self._assumed)
            if sorted(self._assumed) != await self._locked(points):
                self._overtaken()

    async def heads(self, points: Sequence[str]) -> Sequence[HeadColumns]:
        """From memory, to be confirmed at the end; or held from here on, in one order for all replicas."""
        self._assumed = [] if self._is_begun else self._remembered.of(points)
        if self._assumed:
            return self._assumed
        await self.begin()
        self._remembered.forget(points)
        return await self._locked(points)

    async def insert(self, rows: Mapping[str, Tuples]) -> None:
        """Many rows one table after the other, the rest in one statement."""
        await self._insert(rows)

    async def _insert(self, rows: Mapping[str, Tuples]) -> Sequence[int]:
        await self.begin()
        few: dict[str, Tuples] = {}
        for name, tuples in rows.items():
            if len(tuples) >= COPIED_FROM:
                await INSERTS[name].copy(self._driver, tuples)
            elif tuples:
                few[name] = tuples
        if not few:
            return []
        return [row[0] for row in await self._driver.fetch(_together(tuple(few)), *_parameters(few))]

    async def commit(self, rows: Mapping[str, Tuples]) -> Sequence[int]:
        """In one statement, if there is no transaction yet and not too much to write."""
        heads = rows.get("put_heads", ())
        self._remembered.forget([head[0] for head in (*heads, *self._assumed)])
        if self._is_begun or any(len(tuples) >= COPIED_FROM for tuples in rows.values()):
            numbers = await self._insert(rows)
            await self._driver.execute("commit")
        else:
            numbers = await self._insert_if_as_assumed({name: tuples for name, tuples in rows.items() if tuples})
        self._remembered.keep(heads)
        return numbers

    async def _insert_if_as_assumed(self, rows: Mapping[str, Tuples]) -> Sequence[int]:
        if not rows:
            return []
        assumed = [list(column) for column in zip(*self._assumed, strict=True)] or [[], [], []]
        answer = await self._driver.fetchrow(_if_as_assumed(tuple(rows)), *assumed, *_parameters(rows))
        if not answer["holds"]:
            self._overtaken()
        return answer["numbers"] or []

    async def _locked(self, points: Sequence[str]) -> list[HeadColumns]:
        return [(row[0], row[1], row[2]) for row in await self._driver.fetch(_LOCK, list(points))]

    def _overtaken(self) -> None:
        points = [head[0] for head in self._assumed]
        self._remembered.forget(points)
        raise Overtaken(points)


class SqliteExecution:
    """By the driver below SQLAlchemy, in a transaction that began by locking the whole database."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def begin(self) -> None:
        """It has begun."""

    async def heads(self, points: Sequence[str]) -> Sequence[HeadColumns]:
        """Nobody else writes."""
        found: Sequence[Any] = (
            await self._connection.exec_driver_sql(_HEADS_SQLITE, (json.dumps(list(points)),))
        ).all()
        return [(row[0], row[1], row[2]) for row in found]

    async def insert(self, rows: Mapping[str, Tuples]) -> None:
        """One after the other."""
        for name, tuples in rows.items():
            if tuples:
                await self._connection.exec_driver_sql(INSERTS[name].sqlite(), list(tuples))

    async def commit(self, rows: Mapping[str, Tuples]) -> Sequence[int]:
        """Whoever opened the transaction ends it."""
        await self.insert(rows)
        return []


_COLUMNS = "point, measured_at, state_json"
_LOCK = f"select {_COLUMNS} from processor_heads where point = any($1::text[]) order by point for update"
_HEADS_SQLITE = f"select {_COLUMNS} from processor_heads where point in (select value from json_each(?))"
_GUARD = (
    f"held as materialized ({_LOCK}), guard as materialized ("
    f"select count(*) = cardinality($1::text[]) as holds from held "
    f"join unnest($1::text[], $2::timestamptz[], $3::text[]) as assumed({_COLUMNS}) using ({_COLUMNS}))"
)


@cache
def _together(names: tuple[str, ...]) -> str:
    """Several inserts as one statement: all but the last in a WITH."""
    *others, last = _inserts(names, 1, "")
    returning = "returning id" if names[-1] == LETTERS else ""
    return f"with {_parts(others)} {last} {returning}" if others else f"{last} {returning}"


@cache
def _if_as_assumed(names: tuple[str, ...]) -> str:
    """Several inserts as one statement, which does nothing and says false unless the heads are as assumed."""
    inserts = _inserts(names, 4, "where (select holds from guard)")
    numbers = "null::bigint[]"
    if names[-1] == LETTERS:
        inserts[-1] += " returning id"
        numbers = f"(select array_agg(id order by id) from part{len(inserts) - 1})"
    return f"with {_GUARD}, {_parts(inserts)} select holds, {numbers} as numbers from guard"


def _inserts(names: Sequence[str], first: int, condition: str) -> list[str]:
    made = []
    for name in names:
        made.append(INSERTS[name].postgres(first, condition))
        first += INSERTS[name].parameters_count
    return made


def _parts(inserts: Sequence[str]) -> str:
    return ", ".join(f"part{i} as ({insert})" for i, insert in enumerate(inserts))


def _parameters(rows: Mapping[str, Tuples]) -> list[Any]:
    return [given for name, tuples in rows.items() for given in INSERTS[name].parameters(tuples)]
