"""Keep what must be kept, forget what may be forgotten, and rebuild the projection."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from caudal.common.bus.messages import Rejected
from caudal.common.ports import Catalog, TelemetryStore
from caudal.processor.domain.publication import row_fields
from caudal.processor.handlers.readings import BEGINNING
from caudal.processor.handlers.telling import untold
from caudal.processor.ports import Ledger, Sink

RAW_KEPT = timedelta(days=30)
"""How long raw payloads are kept from receipt."""
CAP_SPARES = timedelta(days=7)
"""A series above its cap loses only rows older than this."""
REBUILT_AT_ONCE = 1000


async def keep_rejected(ledger: Ledger, rejected: list[Rejected]) -> None:
    """Keep what could not be read, each delivery once."""
    async with ledger.unit() as unit:
        await unit.reject(rejected)


async def mark_replayed(ledger: Ledger, rejected_id: str, now: datetime) -> bool:
    """Say that a rejected payload was published again; whether there is such a one."""
    async with ledger.unit() as unit:
        return await unit.mark_replayed(rejected_id, now)


async def tidy(ledger: Ledger, store: TelemetryStore, now: datetime) -> dict[str, int]:
    """Forget raw payloads that have had their time, and what the store itself does not expire; how much of each."""
    return {
        "raw": await ledger.purge_raw(now - RAW_KEPT),
        "expired": await store.expire(now),
    }


async def cap(ledger: Ledger, catalog: Catalog, store: TelemetryStore, max_rows_per_unit: int, now: datetime) -> int:
    """Hold units of batch windows, and points that have a cap of their own, to their number of rows; how many went."""
    older_than = now - CAP_SPARES
    gone = await ledger.trim_windows(max_rows_per_unit, older_than)
    for code in await ledger.points():
        point = await catalog.point(code)
        if point is not None and point.max_rows is not None:
            gone += await store.trim(code, point.max_rows, older_than)
    return gone


async def rebuild(ledger: Ledger, store: TelemetryStore) -> AsyncIterator[tuple[str, int]]:
    """Write the whole projection anew from the ledger; yields (point, rows written) as it goes.

    The outbox of the store is held meanwhile, so that nothing newer is overwritten by what was read before.
    """
    async with untold(ledger.outbox(Sink.STORE)):
        for point in await ledger.points():
            await store.drop(point)
            cursor = BEGINNING
            while True:
                async with ledger.unit() as unit:
                    rows = await unit.rows(point, cursor, limit=REBUILT_AT_ONCE)
                series = [row_fields(point, row) for row in rows]
                await store.write([row for row in series if row.fields])
                yield point, len(rows)
                if len(rows) < REBUILT_AT_ONCE:
                    break
                cursor = rows[-1].at + timedelta(microseconds=1)
