"""What a point's series look like to InfluxQL: a track for each bucket and provider."""

from collections.abc import Sequence

from caudal.common.adapters.influx import influxql
from caudal.common.adapters.influx.http import InfluxHttp, Numbers, Series
from caudal.common.adapters.influx.line_protocol import variable_of
from caudal.common.domain.ids import is_id
from caudal.common.domain.series import Track
from caudal.common.ports import Function


class InfluxSource:
    """`SeriesSource` over several buckets, in ascending order of precedence."""

    def __init__(self, http: InfluxHttp, buckets: Sequence[str]) -> None:
        self._http = http
        self._buckets = buckets

    async def variables(self, point: str) -> list[str]:
        """Those of which the point has a value."""
        found: set[str] = set()
        asked = [influxql.counts(bucket, point) for bucket in self._buckets]
        for tables in await self._http.query(self._buckets[0], asked):
            for table in tables:
                [_, *counts] = zip(table.columns, table.values[0], strict=True)
                found |= {variable_of(key.removeprefix("count_")) for key, count in counts if count}
        return sorted(variable for variable in found if is_id(variable))

    async def tracks(self, point: str, variables: Sequence[str], start: int, end: int, limit: int) -> list[Track]:
        asked = [influxql.values(bucket, point, variables, start, end, limit) for bucket in self._buckets]
        return await self._tracks(asked, variables, limit)

    async def latest(self, point: str, variable: str, end: int) -> list[Track]:
        asked = [influxql.latest(bucket, point, variable, end) for bucket in self._buckets]
        return await self._tracks(asked, [variable], 1)

    async def groups(
        self, point: str, variables: Sequence[str], start: int, end: int, every: int, function: Function, limit: int
    ) -> list[Track]:
        asked = [
            influxql.groups(bucket, point, variables, start, end, every, function.value, limit)
            for bucket in self._buckets
        ]
        return await self._tracks(asked, variables, limit)

    async def _tracks(self, statements: Sequence[str], variables: Sequence[str], limit: int) -> list[Track]:
        answers = await self._http.numbers(self._buckets[0], statements, len(variables))
        return [_track(table, variables, limit) for tables in answers for table in sorted(tables, key=_provider)]


def _provider(table: Series[Numbers]) -> str:
    return table.tags.get("provider", "")


def _track(table: Series[Numbers], variables: Sequence[str], limit: int) -> Track:
    """A table whose columns are the time and `variables`."""
    # one column after the other: `zip` of a hundred thousand rows takes each as an argument, and five times as long
    times = [row[0] for row in table.values]
    numbers = {variable: [row[place] for row in table.values] for place, variable in enumerate(variables, 1)}
    return Track(times, numbers, _provider(table), whole=len(times) < limit)
