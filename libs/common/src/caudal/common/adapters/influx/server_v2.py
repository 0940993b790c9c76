"""InfluxDB 2.x through influxdb-client: buckets, writes, the delete API; and the mappings that InfluxQL needs."""

# mypy: disable-error-code="no-untyped-call"
# influxdb-client says that it is typed, but most of it is not

from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.dbrp_create import DBRPCreate
from influxdb_client.domain.patch_bucket_request import PatchBucketRequest
from influxdb_client.domain.post_bucket_request import PostBucketRequest
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from influxdb_client.service.buckets_service import BucketsService
from influxdb_client.service.dbr_ps_service import DBRPsService
from influxdb_client.service.organizations_service import OrganizationsService

from caudal.common.adapters.influx import influxql, retention
from caudal.common.adapters.influx.errors import Missing, Refusal, judged
from caudal.common.adapters.influx.http import InfluxHttp, reason_in
from caudal.common.adapters.influx.line_protocol import MEASUREMENT
from caudal.common.adapters.influx.server import Span
from caudal.common.domain.errors import Transient
from caudal.common.domain.series import END_OF_TIME, FIRST_INSTANT, instant, micros

R = TypeVar("R")

_MINE = f'_measurement="{MEASUREMENT}"'


class InfluxV2:
    """`InfluxServer` on a 2.x server."""

    def __init__(self, http: InfluxHttp, org: str, token: str, timeout_s: float) -> None:
        self._http = http
        self._org = org
        self._client = InfluxDBClientAsync(http.url, token, org, timeout=round(timeout_s * 1000))

    async def set_up(self, buckets: Mapping[str, timedelta | None]) -> None:
        for name, wanted in buckets.items():
            bucket = await self._bucket(name) or await self._create(name, wanted)
            await self._map(bucket)
            await self._settle(bucket, wanted)

    async def _bucket(self, name: str) -> Bucket | None:
        service = BucketsService(self._client.api_client)
        try:
            found = await _ours(service.get_buckets_async(org=self._org, name=name))
        except Missing:  # some servers say so, others give an empty list
            return None
        return found.buckets[0] if found.buckets else None

    async def _create(self, name: str, wanted: timedelta | None) -> Bucket:
        organizations = await _ours(OrganizationsService(self._client.api_client).get_orgs_async(org=self._org))
        if not organizations.orgs:
            raise Missing(f"InfluxDB has no organization {self._org!r}, or does not show it to us")
        asked = PostBucketRequest(org_id=organizations.orgs[0].id, name=name, retention_rules=_rules(wanted))
        try:
            return await _ours(BucketsService(self._client.api_client).post_buckets_async(post_bucket_request=asked))
        except Refusal:
            other = await self._bucket(name)
            if other is None:
                raise
            return other  # another process was quicker

    async def _map(self, bucket: Bucket) -> None:
        """See that InfluxQL finds the bucket as database and `autogen`; newer servers map by themselves."""
        service = DBRPsService(self._client.api_client)
        policy = influxql.RETENTION_POLICY
        found = await _ours(service.get_dbr_ps_async(org_id=bucket.org_id, db=bucket.name, rp=policy))
        if not any(mapping.bucket_id == bucket.id for mapping in found.content or []):
            asked = DBRPCreate(
                org_id=bucket.org_id, bucket_id=bucket.id, database=bucket.name, retention_policy=policy, default=True
            )
            await _ours(service.post_dbrp_async(dbrp_create=asked))

    async def _settle(self, bucket: Bucket, wanted: timedelta | None) -> None:
        async def change() -> None:
            asked = PatchBucketRequest(retention_rules=_rules(wanted))
            service = BucketsService(self._client.api_client)
            await _ours(service.patch_buckets_id_async(bucket.id, patch_bucket_request=asked))

        seconds = next((rule.every_seconds for rule in bucket.retention_rules if rule.every_seconds), None)
        current = timedelta(seconds=seconds) if seconds else None
        await retention.settle(self._http, bucket.name, current, wanted, change)

    async def write(self, bucket: str, body: bytes) -> None:
        precision: Any = WritePrecision.US  # declared as an enumeration, and a string
        await _ours(self._client.write_api().write(bucket, self._org, body, precision))

    async def delete(self, bucket: str, spans: Sequence[Span]) -> None:
        for span in spans:
            await self._delete(bucket, span.start, span.end, f"{_MINE} AND point={_quoted(span.point)}")

    async def delete_all(self, bucket: str) -> None:
        await self._delete(bucket, micros(FIRST_INSTANT), micros(END_OF_TIME), _MINE)

    async def _delete(self, bucket: str, start: int, end: int, predicate: str) -> None:
        """Forget [start, end); the API's own `stop` is inclusive, to the nanosecond."""
        first, last = (f"{instant(us):%Y-%m-%dT%H:%M:%S.%f}" for us in (start, end - 1))
        await _ours(self._client.delete_api().delete(f"{first}Z", f"{last}999Z", predicate, bucket, self._org))

    async def close(self) -> None:
        await self._client.close()


def _quoted(text: str) -> str:
    """`text` as a value in a delete predicate."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def _rules(kept: timedelta | None) -> list[BucketRetentionRules]:
    if kept is None:
        return [BucketRetentionRules(type="expire", every_seconds=0)]
    shard = min(retention.SHARD, kept) // timedelta(seconds=1)
    seconds = kept // timedelta(seconds=1)
    return [BucketRetentionRules(type="expire", every_seconds=seconds, shard_group_duration_seconds=shard)]


async def _ours(call: Awaitable[R]) -> R:
    """What `call` gives, its errors turned into ours: influxdb-client lets aiohttp's own through."""
    try:
        return await call
    except ApiException as error:
        headers: Any = error.headers or {}
        reason = reason_in(error.body) if error.body else str(error.reason)
        raise judged(error.status or 0, reason, headers.get("Retry-After")) from error
    except TimeoutError as error:
        raise Transient("InfluxDB does not answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Transient(f"InfluxDB: {error}") from error
