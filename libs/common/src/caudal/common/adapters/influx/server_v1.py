"""InfluxDB 1.x: databases, `/write`, DELETE in InfluxQL."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from caudal.common.adapters.influx import influxql, retention
from caudal.common.adapters.influx.errors import Missing
from caudal.common.adapters.influx.http import InfluxHttp
from caudal.common.adapters.influx.line_protocol import MEASUREMENT
from caudal.common.adapters.influx.server import Span

_DELETES_AT_ONCE = 100
"""About a second's work for the server."""
_POLICY = influxql.identifier(influxql.RETENTION_POLICY)


class InfluxV1:
    """`InfluxServer` on a 1.x server: a bucket is a database's retention policy `autogen`."""

    def __init__(self, http: InfluxHttp) -> None:
        self._http = http

    async def set_up(self, buckets: Mapping[str, timedelta | None]) -> None:
        for bucket, wanted in buckets.items():
            name = influxql.identifier(bucket)
            try:
                [answer] = await self._http.query("", [f"SHOW RETENTION POLICIES ON {name}"])
            except Missing:
                await self._http.query("", [f"CREATE DATABASE {name} WITH {_terms(wanted)} NAME {_POLICY}"])
                continue
            policies = {row[0]: _duration(row[1]) for series in answer for row in series.values}
            on = f"RETENTION POLICY {_POLICY} ON {name} {_terms(wanted)} DEFAULT"
            if influxql.RETENTION_POLICY not in policies:
                await self._http.query("", [f"CREATE {on}"])
                continue
            alter = partial(self._http.query, "", [f"ALTER {on}"])
            await retention.settle(self._http, bucket, policies[influxql.RETENTION_POLICY], wanted, alter)

    async def write(self, bucket: str, body: bytes) -> None:
        where = {"db": bucket, "rp": influxql.RETENTION_POLICY, "precision": "u"}
        await self._http.request("POST", "/write", params=where, data=body)

    async def delete(self, bucket: str, spans: Sequence[Span]) -> None:
        for first in range(0, len(spans), _DELETES_AT_ONCE):
            some = spans[first : first + _DELETES_AT_ONCE]
            await self._http.query(bucket, [influxql.delete(*span) for span in some])

    async def delete_all(self, bucket: str) -> None:
        await self._http.query(bucket, [f"DROP MEASUREMENT {influxql.identifier(MEASUREMENT)}"])

    async def close(self) -> None:
        """The connections are the store's."""


def _terms(kept: timedelta | None) -> str:
    """A retention policy's terms."""
    if kept is None:
        return "DURATION INF REPLICATION 1"
    shard = min(retention.SHARD, kept)
    return f"DURATION {kept // timedelta(seconds=1)}s REPLICATION 1 SHARD DURATION {shard // timedelta(seconds=1)}s"


def _duration(text: str) -> timedelta | None:
    """A duration as the server writes it (`2160h0m0s`); None: for ever."""
    units = {"h": 3600, "m": 60, "s": 1}
    seconds = sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
    return timedelta(seconds=seconds) if seconds else None
