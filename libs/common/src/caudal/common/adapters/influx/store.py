"""The telemetry store in InfluxDB: two buckets, one that forgets and an archive that does not."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from caudal.common.adapters import series_reads
from caudal.common.adapters.influx import influxql
from caudal.common.adapters.influx.errors import Missing, Refusal
from caudal.common.adapters.influx.http import Cells, InfluxHttp, Series
from caudal.common.adapters.influx.line_protocol import body, variable_of
from caudal.common.adapters.influx.server import InfluxServer, Span
from caudal.common.adapters.influx.source import InfluxSource
from caudal.common.adapters.series_writes import Erasure, Refusals, admitted, settled
from caudal.common.domain.ids import checked_id
from caudal.common.domain.series import archived_before, checked_instant, instant, micros
from caudal.common.ports import Clock, Function, Sample, SeriesRow, WriteReport

BATCH = 5000
"""Lines posted at once."""
_ERASURES_AT_ONCE = 1000
"""Instants of a point looked at together."""


class InfluxStore:
    """`TelemetryStore` in InfluxDB. What it needs there is made when it is first used."""

    def __init__(self, http: InfluxHttp, server: InfluxServer, bucket: str, retention: timedelta, clock: Clock) -> None:
        self._http = http
        self._server = server
        self._bucket = bucket
        self._archive = f"{bucket}_archive"
        self._retention = retention
        self._clock = clock
        self._source = InfluxSource(http, (self._bucket, self._archive))
        self._setting_up = asyncio.Lock()
        self._is_set_up = False
        self._writing = asyncio.Lock()
        """One change at a time: an erasure is not to meet another write half-way."""
        self._owed: list[tuple[str, SeriesRow]] = []
        """What an erasure took out of a bucket and has yet to bring back."""

    async def setup(self) -> None:
        """Make the buckets, if they are not there as they should be.

        Raises:
            Transient: the server is away, or does not let us.
        """
        async with self._setting_up:
            if not self._is_set_up:
                await self._server.set_up({self._bucket: self._retention, self._archive: None})
                self._is_set_up = True

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()
        await self._http.aclose()

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator[None]:
        """Set up before the first use, and again after the server has lost its buckets."""
        await self.setup()
        try:
            yield
        except Missing:
            self._is_set_up = False
            raise

    async def write(self, rows: Sequence[SeriesRow]) -> WriteReport:
        refusals = Refusals()
        good = admitted(rows, refusals)
        cutoff = archived_before(self._clock.now(), self._retention)
        erasures, left = settled(good)
        archived = sum([row.at < cutoff for row in good])
        old, recent = _parted(left, cutoff)
        async with self._ready(), self._writing:
            await self._pay(refusals)
            await self._erase(erasures, refusals)
            before = refusals.count
            await self._put(self._archive, old, refusals)
            archived += await self._put(self._bucket, recent, refusals)
        return refusals.settle(WriteReport(len(good) - (refusals.count - before), archived))

    async def _put(self, bucket: str, rows: Sequence[SeriesRow], refusals: Refusals) -> int:
        """Write `rows`, some at a time; how many had to go to the archive, because the server finds them too old."""
        return sum([await self._post(bucket, rows[at : at + BATCH], refusals) for at in range(0, len(rows), BATCH)])

    async def _post(self, bucket: str, rows: Sequence[SeriesRow], refusals: Refusals) -> int:
        """Post `rows` at once, or, if the server refuses some, in parts small enough to tell which."""
        try:
            await self._server.write(bucket, body(rows))
            return 0
        except Refusal as refusal:
            if refusal.beyond_retention and bucket == self._bucket:
                # they were the oldest ones; all others of this batch were taken
                dropped = sorted(rows, key=lambda row: row.at)[: refusal.dropped or len(rows)]
                await self._put(self._archive, dropped, refusals)
                return len(dropped)
            if len(rows) == 1:
                refusals.add(rows[0], refusal.reason)
                return 0
        half = len(rows) // 2
        return await self._post(bucket, rows[:half], refusals) + await self._post(bucket, rows[half:], refusals)

    async def _erase(self, erasures: Sequence[Erasure], refusals: Refusals) -> None:
        """Take rows that have an erased field away, and bring back what else they had."""
        by_point: dict[str, list[Erasure]] = {}
        for erasure in sorted(erasures, key=lambda erasure: erasure.at):
            by_point.setdefault(erasure.point, []).append(erasure)
        for of_point in by_point.values():
            for first in range(0, len(of_point), _ERASURES_AT_ONCE):
                for bucket in (self._bucket, self._archive):
                    await self._erase_in(bucket, of_point[first : first + _ERASURES_AT_ONCE], refusals)

    async def _erase_in(self, bucket: str, erasures: Sequence[Erasure], refusals: Refusals) -> None:
        """Do so at some instants of a point, ascending: at once, if there are no other rows between them."""
        span = Span(erasures[0].point, micros(erasures[0].at), micros(erasures[-1].at) + 1)
        [tables] = await self._http.query(bucket, [influxql.everything(bucket, *span, len(erasures) + 1)])
        erased = {micros(erasure.at): erasure.variables for erasure in erasures}
        held = [found for table in tables for found in _rows(span.point, table)]
        if any(micros(row.at) not in erased for row in held):
            half = len(erasures) // 2
            await self._erase_in(bucket, erasures[:half], refusals)
            await self._erase_in(bucket, erasures[half:], refusals)
        elif any(erased[micros(row.at)] & row.fields.keys() for row in held):
            self._owed += [(bucket, _without(row, erased[micros(row.at)])) for row in held]
            await self._server.delete(bucket, [span])
            await self._pay(refusals)

    async def _pay(self, refusals: Refusals) -> None:
        """Bring back what erasures owe; kept until it is done, so that an outage half-way loses nothing."""
        for bucket in (self._bucket, self._archive):
            await self._put(bucket, [row for place, row in self._owed if place == bucket and row.fields], refusals)
        self._owed.clear()

    async def samples(
        self, point: str, variables: Sequence[str], start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        async with self._ready():
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
        async with self._ready():
            return await series_reads.aggregate(self._source, point, variables, start, end, every, function)

    async def rows(self, point: str) -> AsyncIterator[SeriesRow]:
        async with self._ready():
            variables = await self._source.variables(checked_id(point, "point"))
            async for row in series_reads.rows(self._source, point, variables):
                yield row

    async def drop(self, point: str | None = None) -> None:
        everything = (
            None if point is None else Span(checked_id(point, "point"), series_reads.BEGINNING, series_reads.END)
        )
        async with self._ready(), self._writing:
            self._owed = [(bucket, row) for bucket, row in self._owed if point not in (None, row.point)]
            for bucket in (self._bucket, self._archive):
                if everything:
                    await self._server.delete(bucket, [everything])
                else:
                    await self._server.delete_all(bucket)

    async def trim(self, point: str, max_rows: int, older_than: datetime) -> int:
        before = checked_instant(older_than, "older_than")
        async with self._ready(), self._writing:
            variables = await self._source.variables(checked_id(point, "point"))
            counted = await series_reads.count(self._source, point, variables, series_reads.END, max_rows)
            if counted <= max_rows:
                return 0
            gone = await series_reads.count(self._source, point, variables, before)
            if gone:
                for bucket in (self._bucket, self._archive):
                    await self._server.delete(bucket, [Span(point, series_reads.BEGINNING, before)])
            return gone

    async def expire(self, now: datetime) -> int:
        return 0

    async def ping(self) -> None:
        await self._http.ping()


def _parted(rows: Sequence[SeriesRow], cutoff: datetime) -> tuple[list[SeriesRow], list[SeriesRow]]:
    """Rows that have fields: those before `cutoff`, and the others."""
    old: list[SeriesRow] = []
    recent: list[SeriesRow] = []
    for row in rows:
        if row.fields:
            (old if row.at < cutoff else recent).append(row)
    return old, recent


def _rows(point: str, table: Series[Cells]) -> Iterator[SeriesRow]:
    """One provider's rows, with their numbers."""
    for time, *cells in table.values:
        fields = {
            variable_of(key): float(cell)
            for key, cell in zip(table.columns[1:], cells, strict=True)
            if isinstance(cell, int | float) and not isinstance(cell, bool)
        }
        yield SeriesRow(point, instant(time), fields, table.tags.get("provider", ""))


def _without(row: SeriesRow, variables: set[str]) -> SeriesRow:
    fields = {variable: value for variable, value in row.fields.items() if variable not in variables}
    return SeriesRow(row.point, row.at, fields, row.provider)
