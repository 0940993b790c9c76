"""The telemetry store of local mode: one SQLite file, in WAL mode.

One process writes, any number read. A commit outlives the death of any process at once; after a power loss the last
ones may be missing (synchronous NORMAL), and `caudal rebuild-store` brings them back from the ledger.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from caudal.common.adapters import series_reads
from caudal.common.adapters.series_writes import Erasure, Refusals, admitted, settled
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.domain.ids import checked_id
from caudal.common.domain.series import Track, archived_before, checked_instant, micros
from caudal.common.ports import Clock, Function, Sample, SeriesRow, WriteReport

R = TypeVar("R")

BUSY_TIMEOUT_S = 5.0
"""How long a statement waits for another process's lock."""

PING_TIMEOUT_S = 4.0

PLACES = ("recent", "archive")
"""In ascending order of precedence."""

SCHEMA = (
    "create table if not exists series (id integer primary key, point text not null, field text not null,"
    " provider text not null, unique (point, field, provider))",
    *(
        f"create table if not exists {place} (series integer not null, at integer not null, value real not null,"
        " primary key (series, at)) without rowid"
        for place in PLACES
    ),
)
"""`at` is in microseconds since the epoch. A series keeps its id for ever, so that processes may remember it."""

_GROUPED = {
    Function.MEAN: "avg(value)",
    Function.MIN: "min(value)",
    Function.MAX: "max(value)",
    Function.SUM: "sum(value)",
    # of the columns beside a max(), SQLite promises the values of the row that has it
    Function.LAST: "value, max(at)",
}


class _Lane:
    """A thread with a connection of its own; what is asked of it is done in order, one transaction each."""

    def __init__(self, path: Path, begin: str) -> None:
        self._path = path
        self._begin = begin
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry-store")
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        """Do `work` in one transaction.

        Raises:
            Transient: the file is locked, full or out of reach.
            Permanent: it is no database of ours.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        except (sqlite3.OperationalError, OSError) as error:
            raise Transient(f"telemetry store {self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Permanent(f"telemetry store {self._path}: {error}") from error

    def _transact(self, work: Callable[[sqlite3.Connection], R]) -> R:
        if self._connection is None:
            self._connection = self._open()
        self._connection.execute(self._begin)
        with self._connection:
            return work(self._connection)

    def _open(self) -> sqlite3.Connection:
        """Connect, and create what is missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            for statement in ("pragma journal_mode = wal", "pragma synchronous = normal", *SCHEMA):
                connection.execute(statement)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class EmbeddedStore:
    """`TelemetryStore` in a SQLite file, which is made when it is first used."""

    def __init__(self, path: Path, retention: timedelta, clock: Clock) -> None:
        self._retention = retention
        self._clock = clock
        self._writing = _Lane(path, "begin immediate")
        self._reading = _Lane(path, "begin")
        self._source = _Source(self._reading)
        self._ids: dict[tuple[str, str, str], int] = {}
        """Series that the writer has met, by (point, field, provider)."""

    async def setup(self) -> None:
        """Make the file, if it is not there.

        Raises:
            Transient: it can't be made, or another process holds it.
            Permanent: it is no database.
        """
        await self.ping()

    async def close(self) -> None:
        """Close the file."""
        await self._reading.close()
        await self._writing.close()

    async def write(self, rows: Sequence[SeriesRow]) -> WriteReport:
        refusals = Refusals()
        good = admitted(rows, refusals)
        cutoff = archived_before(self._clock.now(), self._retention)
        erasures, left = settled(good)
        unmet = {(row.point, variable, row.provider) for row in left for variable in row.fields} - self._ids.keys()
        if unmet:
            # committed on its own: an id of a transaction that failed must not be remembered
            self._ids |= await self._writing.run(partial(_meet, keys=sorted(unmet)))
        values = self._values(left, micros(cutoff))
        await self._writing.run(partial(_store, erasures=erasures, values=values))
        return refusals.settle(WriteReport(len(good), sum(row.at < cutoff for row in good)))

    def _values(self, rows: Sequence[SeriesRow], cutoff: int) -> dict[str, list[tuple[int, int, float]]]:
        """What to write into each place."""
        values: dict[str, list[tuple[int, int, float]]] = {place: [] for place in PLACES}
        for row in rows:
            at = micros(row.at)
            into = values["archive" if at < cutoff else "recent"]
            for variable, value in row.fields.items():
                into.append((self._ids[row.point, variable, row.provider], at, float(value)))
        return values

    async def samples(
        self, point: str, variables: Sequence[str], start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        return await series_reads.samples(self._source, point, variables, start, end, limit)

    async def aggregate(
        self,
        point: str,
        variables: Sequence[str],
        start: datetime,
        end: datetime,
        every: timedelta,
        function: Function,
    ) -> list[Sample]:
        return await series_reads.aggregate(self._source, point, variables, start, end, every, function)

    async def rows(self, point: str) -> AsyncIterator[SeriesRow]:
        variables = await self._source.variables(checked_id(point, "point"))
        async for row in series_reads.rows(self._source, point, variables):
            yield row

    async def drop(self, point: str | None = None) -> None:
        await self._writing.run(partial(_drop, point=None if point is None else checked_id(point, "point")))

    async def trim(self, point: str, max_rows: int, older_than: datetime) -> int:
        before = checked_instant(older_than, "older_than")
        return await self._writing.run(
            partial(_trim, point=checked_id(point, "point"), max_rows=max_rows, before=before)
        )

    async def expire(self, now: datetime) -> int:
        return await self._writing.run(partial(_expire, before=checked_instant(now - self._retention, "now")))

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self._reading.run(lambda db: db.execute("select 1 from series limit 1").fetchone())
        except TimeoutError as error:
            raise Transient("telemetry store: busy with long questions") from error


class _Source:
    """The tracks of the file: one for each series and place."""

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane

    async def variables(self, point: str) -> list[str]:
        """All that a point has or had."""
        return await self._lane.run(partial(_fields, point=point))

    async def tracks(self, point: str, variables: Sequence[str], start: int, end: int, limit: int) -> list[Track]:
        query = "select at, value from {place} where series = ? and at >= ? and at < ? order by at limit ?"
        return await self._lane.run(partial(_tracks, query, point, variables, (start, end), limit))

    async def latest(self, point: str, variable: str, end: int) -> list[Track]:
        query = "select at, value from {place} where series = ? and at < ? order by at desc limit ?"
        return await self._lane.run(partial(_tracks, query, point, [variable], (end,), 1))

    async def groups(
        self, point: str, variables: Sequence[str], start: int, end: int, every: int, function: Function, limit: int
    ) -> list[Track]:
        query = (
            f"select at - (at % {every} + {every}) % {every} as slot, {_GROUPED[function]} from {{place}}"
            " where series = ? and at >= ? and at < ? group by slot order by slot limit ?"
        )
        return await self._lane.run(partial(_tracks, query, point, variables, (start, end), limit))


def _tracks(
    query: str, point: str, variables: Sequence[str], span: tuple[int, ...], limit: int, db: sqlite3.Connection
) -> list[Track]:
    """What `query` finds in each place and series."""
    wanted = set(variables)
    found = db.execute("select id, field, provider from series where point = ? order by provider", (point,)).fetchall()
    tracks = []
    for place in PLACES:
        for series, variable, provider in found:
            if variable in wanted:
                rows = db.execute(query.format(place=place), (series, *span, limit)).fetchall()
                times, column = [row[0] for row in rows], [row[1] for row in rows]
                tracks.append(Track(times, {variable: column}, provider, whole=len(rows) < limit))
    return tracks


def _fields(db: sqlite3.Connection, point: str) -> list[str]:
    query = "select distinct field from series where point = ? order by field"
    return [field for (field,) in db.execute(query, (point,))]


def _meet(db: sqlite3.Connection, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
    """The ids of series, new where there was none."""
    db.executemany("insert into series (point, field, provider) values (?, ?, ?) on conflict do nothing", keys)
    query = "select id from series where point = ? and field = ? and provider = ?"
    return {key: int(db.execute(query, key).fetchone()[0]) for key in keys}


def _store(
    db: sqlite3.Connection, erasures: Sequence[Erasure], values: Mapping[str, Sequence[tuple[int, int, float]]]
) -> None:
    for place in PLACES:
        of_field = "series in (select id from series where point = ? and field = ?)"
        for erasure in erasures:
            gone = [(micros(erasure.at), erasure.point, variable) for variable in erasure.variables]
            db.executemany(f"delete from {place} where at = ? and {of_field}", gone)
        upsert = f"insert into {place} values (?, ?, ?) on conflict do update set value = excluded.value"
        db.executemany(upsert, values[place])


_OF_POINT = "series in (select id from series where point = ?)"


def _drop(db: sqlite3.Connection, point: str | None) -> None:
    for place in PLACES:
        if point is None:
            db.execute(f"delete from {place}")
        else:
            db.execute(f"delete from {place} where {_OF_POINT}", (point,))


def _trim(db: sqlite3.Connection, point: str, max_rows: int, before: int) -> int:
    if _count(db, point, series_reads.END) <= max_rows:
        return 0
    gone = _count(db, point, before)
    for place in PLACES:
        db.execute(f"delete from {place} where {_OF_POINT} and at < ?", (point, before))
    return gone


def _count(db: sqlite3.Connection, point: str, end: int) -> int:
    """Instants of a point before `end`."""
    instants = " union ".join(f"select at from {place} where {_OF_POINT} and at < ?" for place in PLACES)
    [counted] = db.execute(f"select count(*) from ({instants})", (point, end) * len(PLACES)).fetchone()
    return int(counted)


def _expire(db: sqlite3.Connection, before: int) -> int:
    old = "select distinct point, at from series join recent on series.id = recent.series where at < ?"
    [gone] = db.execute(f"select count(*) from ({old})", (before,)).fetchone()
    db.execute("delete from recent where series in (select id from series) and at < ?", (before,))
    return int(gone)
