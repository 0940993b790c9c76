"""A telemetry store in memory: the plainest way to keep the promise, against which the others are measured."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta

from caudal.common.adapters.clock import SystemClock
from caudal.common.adapters.series_reads import checked_names, result
from caudal.common.adapters.series_writes import Refusals, admitted
from caudal.common.domain.ids import checked_id
from caudal.common.domain.series import (
    Tally,
    archived_before,
    checked_instant,
    checked_interval,
    increases,
    instant,
    micros,
    slot,
)
from caudal.common.ports import Clock, Function, Sample, SeriesRow, WriteReport

Cell = dict[str, float]
Instants = dict[int, dict[str, Cell]]
"""Microseconds to provider to values."""


class MemoryStore:
    """`TelemetryStore` in dictionaries."""

    def __init__(self, retention: timedelta = timedelta(days=90), clock: Clock | None = None) -> None:
        self._retention = retention
        self._clock = clock or SystemClock()
        self._recent: dict[str, Instants] = defaultdict(dict)
        self._archive: dict[str, Instants] = defaultdict(dict)

    async def write(self, rows: Sequence[SeriesRow]) -> WriteReport:
        refusals = Refusals()
        good = admitted(rows, refusals)
        cutoff = archived_before(self._clock.now(), self._retention)
        for row in good:
            for place in (self._recent, self._archive):
                for values in place[row.point].get(micros(row.at), {}).values():
                    for variable in row.erased:
                        values.pop(variable, None)
            place = self._archive if row.at < cutoff else self._recent
            values = place[row.point].setdefault(micros(row.at), {}).setdefault(row.provider, {})
            values |= {variable: float(value) for variable, value in row.fields.items()}
        return refusals.settle(WriteReport(len(good), sum(row.at < cutoff for row in good)))

    def _merged(self, point: str) -> Iterator[tuple[int, Cell, str]]:
        """Instants that have a value, oldest first, with what they hold and the provider that won."""
        recent, archive = self._recent[point], self._archive[point]
        for at in sorted(recent.keys() | archive.keys()):
            layers = [*sorted(recent.get(at, {}).items()), *sorted(archive.get(at, {}).items())]
            held = [(provider, values) for provider, values in layers if values]
            if held:
                yield at, {name: value for _, values in held for name, value in values.items()}, held[-1][0]

    def _values(self, point: str, variable: str, end: int) -> list[tuple[int, float]]:
        """All values of a variable before `end`."""
        return [(at, values[variable]) for at, values, _ in self._merged(point) if variable in values and at < end]

    async def samples(
        self, point: str, variables: Sequence[str], start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        wanted = checked_names(point, variables)
        first, beyond = checked_instant(start, "start"), checked_instant(end, "end")
        found = [
            Sample(instant(at), {variable: values.get(variable) for variable in wanted})
            for at, values, _ in self._merged(point)
            if first <= at < beyond and not values.keys().isdisjoint(wanted)
        ]
        return found[: max(limit, 0)]

    async def aggregate(
        self,
        point: str,
        variables: Sequence[str],
        start: datetime,
        end: datetime,
        every: timedelta,
        function: Function,
    ) -> list[Sample]:
        wanted = checked_names(point, variables)
        first, beyond, width = checked_instant(start, "start"), checked_instant(end, "end"), checked_interval(every)
        made: dict[int, dict[str, float | None]] = {}
        for variable in wanted:
            values = self._values(point, variable, beyond)
            for at, value in _intervals(values, first, width, function):
                made.setdefault(at, dict.fromkeys(wanted))[variable] = value
        return [Sample(instant(max(at, first)), values) for at, values in sorted(made.items())]

    async def rows(self, point: str) -> AsyncIterator[SeriesRow]:
        for at, values, provider in list(self._merged(checked_id(point, "point"))):
            yield SeriesRow(point, instant(at), values, provider)

    async def drop(self, point: str | None = None) -> None:
        for place in (self._recent, self._archive):
            if point is None:
                place.clear()
            else:
                place.pop(checked_id(point, "point"), None)

    async def trim(self, point: str, max_rows: int, older_than: datetime) -> int:
        before = checked_instant(older_than, "older_than")
        instants = [at for at, _, _ in self._merged(checked_id(point, "point"))]
        if len(instants) <= max_rows:
            return 0
        for place in (self._recent, self._archive):
            place[point] = {at: values for at, values in place[point].items() if at >= before}
        return sum(at < before for at in instants)

    async def expire(self, now: datetime) -> int:
        before = checked_instant(now - self._retention, "now")
        gone = 0
        for instants in self._recent.values():
            for at in [at for at in instants if at < before]:
                gone += any(instants.pop(at).values())
        return gone

    async def ping(self) -> None:
        """It is always there."""


def _intervals(
    values: list[tuple[int, float]], start: int, every: int, function: Function
) -> list[tuple[int, float | None]]:
    """One variable's intervals from `start` on; `values` are all there are, from before too."""
    tallies: dict[int, Tally] = {}
    for at, value in values:
        if at >= start:
            tallies.setdefault(slot(at, every), Tally()).add(value)
    if function is not Function.INCREASE:
        return [(at, result(tally, function)) for at, tally in tallies.items()]
    earlier = [value for at, value in values if at < start]
    within = [value for at, value in values if at >= start]
    before = (earlier[-1:] or within[:1] or [0.0])[0]
    return list(zip(tallies, increases([tally.last for tally in tallies.values()], before), strict=True))
