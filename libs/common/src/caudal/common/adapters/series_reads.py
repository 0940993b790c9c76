"""How every telemetry store answers, whatever it keeps its series in.

A store keeps a point's values on several tracks: one for each provider, in the main place and in the archive. Here
they become one. Groups are taken from the store as it computes them, except where two tracks have values in the same
interval (an archived correction, a change of provider): those intervals are computed from the values themselves.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from caudal.common.domain.ids import checked_id
from caudal.common.domain.series import (
    END_OF_TIME,
    FIRST_INSTANT,
    Tally,
    Track,
    checked_instant,
    checked_interval,
    contested,
    increases,
    instant,
    micros,
    overlaid,
    runs,
    slot,
)
from caudal.common.ports import Function, Sample, SeriesRow

VALUES_AT_ONCE = 200_000
"""How many values are read at once, about: what keeps memory bounded."""
BEGINNING, END = micros(FIRST_INSTANT), micros(END_OF_TIME)


class SeriesSource(Protocol):
    """What a store has to be able to do. Tracks come in ascending order of precedence: main before archive, then by
    provider."""

    async def tracks(self, point: str, variables: Sequence[str], start: int, end: int, limit: int) -> list[Track]:
        """The first `limit` instants of [start, end) of each track."""
        ...

    async def latest(self, point: str, variable: str, end: int) -> list[Track]:
        """The last instant of each track before `end`."""
        ...

    async def groups(
        self, point: str, variables: Sequence[str], start: int, end: int, every: int, function: Function, limit: int
    ) -> list[Track]:
        """The first `limit` intervals of each track that are not empty; their times are their starts, unclipped."""
        ...


def checked_names(point: str, variables: Sequence[str]) -> list[str]:
    """`variables`, each once.

    Raises:
        InvalidInput: one of them or `point` is no id.
    """
    checked_id(point, "point")
    return [checked_id(variable, "variables") for variable in dict.fromkeys(variables)]


def _page(variables: Sequence[str]) -> int:
    """Instants read at once."""
    return max(1, VALUES_AT_ONCE // max(1, len(variables)))


async def pages(
    source: SeriesSource, point: str, variables: Sequence[str], start: int, end: int, most: int | None = None
) -> AsyncIterator[Track]:
    """The instants of [start, end) at which any of `variables` has a value, at most `most` at a time."""
    whole, page = not variables, min(_page(variables), most or VALUES_AT_ONCE)
    while start < end and not whole:
        track = overlaid(await source.tracks(point, variables, start, end, page), variables, page)
        if track.times:
            yield track
            start = track.times[-1] + 1
        whole = track.whole


async def samples(
    source: SeriesSource, point: str, variables: Sequence[str], start: datetime, end: datetime, limit: int
) -> list[Sample]:
    """`TelemetryStore.samples`."""
    wanted = checked_names(point, variables)
    span = checked_instant(start, "start"), checked_instant(end, "end")
    found: list[Sample] = []
    if limit > 0:
        async for track in pages(source, point, wanted, *span, limit):
            found += as_samples(track)
            if len(found) >= limit:
                break
    return found[:limit]


def as_samples(track: Track) -> list[Sample]:
    """A merged track as the port gives it."""
    # column by column: a hundred thousand rows of two, one at a time, take half as long again
    values: list[dict[str, float | None]] = [{} for _ in track.times]
    for variable, column in track.columns.items():
        for row, value in zip(values, column, strict=True):
            row[variable] = value
    return list(map(Sample, map(instant, track.times), values))


async def aggregate(
    source: SeriesSource,
    point: str,
    variables: Sequence[str],
    start: datetime,
    end: datetime,
    every: timedelta,
    function: Function,
) -> list[Sample]:
    """`TelemetryStore.aggregate`."""
    wanted = checked_names(point, variables)
    first, beyond, width = checked_instant(start, "start"), checked_instant(end, "end"), checked_interval(every)
    grouped = Function.LAST if function is Function.INCREASE else function
    times: list[int] = []
    columns: dict[str, list[float | None]] = {variable: [] for variable in wanted}
    async for track in _group_pages(source, point, wanted, first, beyond, width, grouped):
        times += track.times
        for variable in wanted:
            columns[variable] += track.columns[variable]
    if function is Function.INCREASE:
        for variable, lasts in columns.items():
            columns[variable] = await _grown(source, point, variable, first, beyond, lasts)
    return as_samples(Track([max(time, first) for time in times], columns)) if times else []


async def _group_pages(
    source: SeriesSource, point: str, variables: list[str], start: int, end: int, every: int, function: Function
) -> AsyncIterator[Track]:
    """Merged intervals of [start, end), a page at a time."""
    whole, page = not variables, _page(variables)
    while start < end and not whole:
        tracks = await source.groups(point, variables, start, end, every, function, page)
        merged = overlaid(tracks, variables, page)
        for run_start, run_end in runs(contested(tracks) & set(merged.times), every):
            span = max(run_start, start), min(run_end, end)
            await _recompute(source, point, merged, span, every, function)
        if merged.times:
            yield merged
            start = merged.times[-1] + every
        whole = merged.whole


async def _recompute(
    source: SeriesSource, point: str, merged: Track, span: tuple[int, int], every: int, function: Function
) -> None:
    """Put the groups of `span` into `merged`, computed from its values."""
    variables = list(merged.columns)
    tallies: dict[tuple[str, int], Tally] = {}
    async for track in pages(source, point, variables, *span):
        for variable, column in track.columns.items():
            for time, value in zip(track.times, column, strict=True):
                if value is not None:
                    tallies.setdefault((variable, slot(time, every)), Tally()).add(value)
    places = {time: place for place, time in enumerate(merged.times)}
    for (variable, time), tally in tallies.items():
        merged.columns[variable][places[time]] = result(tally, function)


def result(tally: Tally, function: Function) -> float:
    """What `function` makes of the values of one interval; not for INCREASE, which needs the interval before."""
    if function is Function.MEAN:
        return tally.mean
    if function is Function.MIN:
        return tally.low
    if function is Function.MAX:
        return tally.high
    return tally.total if function is Function.SUM else tally.last


async def _grown(
    source: SeriesSource, point: str, variable: str, start: int, end: int, lasts: list[float | None]
) -> list[float | None]:
    """`lasts` as increases."""
    if all(last is None for last in lasts):
        return lasts
    before = _newest(await source.latest(point, variable, start), variable)
    if before is None:
        track = overlaid(await source.tracks(point, [variable], start, end, 1), [variable], 1)
        before = track.columns[variable][0]
    return increases(lasts, before) if before is not None else lasts


def _newest(tracks: Sequence[Track], variable: str) -> float | None:
    """The last value of all tracks; of several at one instant, the last track's."""
    found = [(track.times[-1], place) for place, track in enumerate(tracks) if track.times]
    return tracks[max(found)[1]].columns[variable][-1] if found else None


async def rows(source: SeriesSource, point: str, variables: Sequence[str]) -> AsyncIterator[SeriesRow]:
    """`TelemetryStore.rows`, for a point that has `variables`."""
    start, whole, page = BEGINNING, not variables, _page(variables)
    while not whole:
        tracks = await source.tracks(point, variables, start, END, page)
        track = overlaid(tracks, variables, page)
        providers = {time: held.provider for held in tracks for time in held.times}
        for sample in as_samples(track):
            fields = {variable: value for variable, value in sample.values.items() if value is not None}
            yield SeriesRow(point, sample.at, fields, providers[micros(sample.at)])
        start = track.times[-1] + 1 if track.times else END
        whole = track.whole


async def count(source: SeriesSource, point: str, variables: Sequence[str], end: int, enough: int | None = None) -> int:
    """How many rows a point has before `end`; above `enough` it is not counted to the end."""
    counted = 0
    most = None if enough is None else enough + 1
    async for track in pages(source, point, variables, BEGINNING, end, most):
        counted += len(track.times)
        if enough is not None and counted > enough:
            break
    return counted
