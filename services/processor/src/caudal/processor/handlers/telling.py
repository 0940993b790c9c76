"""Tell the world what was committed: entries of the outbox, oldest first, forgotten once they are through."""

import structlog

from caudal.common.ports import Publisher, RowRefused, TelemetryStore
from caudal.processor.ports import Ledger, Sink

BODIES_AT_ONCE = 8
"""Rows of the outbox read in one go; each holds what one batch changed."""

_log = structlog.get_logger(__name__)


async def publish(ledger: Ledger, publisher: Publisher) -> int:
    """Publish the oldest entries; how many. 0: there are none, or another replica is at it.

    Raises:
        Transient: the broker or the database is away; nothing is forgotten.
    """
    async with ledger.outbox(Sink.BUS, BODIES_AT_ONCE) as entries:
        await publisher.publish([message for entry in entries for message in entry.messages])
        return len(entries)


async def project(ledger: Ledger, store: TelemetryStore) -> int:
    """Write the oldest entries into the telemetry store; how many rows. 0: as `publish`.

    Raises:
        Transient: the store or the database is away; nothing is forgotten.
    """
    async with ledger.outbox(Sink.STORE, BODIES_AT_ONCE) as entries:
        rows = [row for entry in entries for row in entry.rows]
        if rows:
            try:
                await store.write(rows)
            except RowRefused as error:
                # The others are written, and the ledger has this one: it is no reason to hold up what follows.
                _log.error("the store refuses rows", refused=error.refused, first=str(error))
        return len(rows)
