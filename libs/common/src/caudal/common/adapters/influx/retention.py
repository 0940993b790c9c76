"""When a bucket that is already there may be given another retention."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from caudal.common.adapters.influx import influxql
from caudal.common.adapters.influx.http import InfluxHttp

SHARD = timedelta(days=1)
"""Length of a shard group where there is a retention: InfluxDB forgets a group at a time."""

_log = structlog.get_logger(__name__)


async def settle(
    http: InfluxHttp,
    bucket: str,
    current: timedelta | None,
    wanted: timedelta | None,
    change: Callable[[], Awaitable[object]],
) -> None:
    """Call `change` if the retention is to be another, unless a stored row would be lost by it."""
    if current == wanted:
        return
    if wanted is not None and (current is None or wanted < current):
        [old] = await http.query(bucket, [influxql.anything_older(bucket, int(wanted.total_seconds()))])
        if old:
            _log.warning("retention left longer than set: older rows are stored", bucket=bucket, wanted=str(wanted))
            return
    await change()
