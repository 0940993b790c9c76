"""API keys in gateway-api's view, remembered for a few seconds: whoever streams shows one with each batch."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import UtcDateTime
from caudal.common.adapters.sql_reads import ask_one
from caudal.ingest.adapters.patient_catalog import asking_again
from caudal.ingest.domain.admission import PushKey

AGE_S = 5.0
"""How long an answer serves: so long does a revoked key work at most."""
MAX_KEPT = 10_000
"""Answers in memory."""
PUSH = "telemetry:push"
"""The permission to hand readings in."""

_keys = sa.table(
    "catalog_api_keys",
    *(sa.column(name, sa.String) for name in ("id", "digest", "provider", "device", "client", "permissions")),
    sa.column("expires_at", UtcDateTime),
    sa.column("active", sa.Boolean),
)
_by_digest = sa.select(_keys).where(_keys.c.digest == sa.bindparam("digest"))


class SqlApiKeys:
    """`ApiKeys` in the catalog's database."""

    def __init__(self, engine: AsyncEngine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, PushKey | None]] = OrderedDict()

    async def of(self, secret: str) -> PushKey | None:
        """As `ApiKeys`."""
        digest, now = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest(), self._monotonic()
        known = self._known.get(digest)
        if known is not None and now - known[0] < AGE_S:
            return known[1]
        with asking_again():
            row = await ask_one(self._engine, _by_digest, {"digest": digest})
        key = _key_of(dict(row)) if row and row["active"] else None
        self._known[digest] = (now, key)
        self._known.move_to_end(digest)
        while len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)
        return key


def _key_of(row: dict[str, Any]) -> PushKey:
    may_push = PUSH in msgspec.json.decode(row["permissions"], type=list[str])
    plain = {name: row[name] for name in ("id", "provider", "device", "client", "expires_at")}
    return PushKey(**plain, may_push=may_push)
