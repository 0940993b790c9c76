"""The audit log in SQL: written at the end of the transaction that it tells of, one writer at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from caudal.common.adapters.sql import transaction
from caudal.gateway_api.adapters.tables import audit_log
from caudal.gateway_api.domain.audit import FIRST, Act, line_of

_LOCK = sa.text("select pg_advisory_xact_lock(hashtext('caudal audit'))")
_LAST = sa.select(audit_log.c.number, audit_log.c.hash).order_by(audit_log.c.number.desc()).limit(1)


class SqlAudit:
    """What one transaction did, held back until it commits.

    The log is one chain, so whoever writes to it keeps the others waiting until the commit. Taken last, that is short,
    and nobody can hold the log while waiting for a row that another one holds while waiting for the log.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._acts: list[Act] = []

    def record(self, act: Act) -> None:
        self._acts.append(act)

    async def write(self) -> None:
        """Chain what was recorded to the log; nothing may be done in the transaction after it."""
        if not self._acts:
            return
        if self._connection.dialect.name == "postgresql":
            await self._connection.execute(_LOCK)
        last = (await self._connection.execute(_LAST)).one_or_none()
        number, previous = (last.number, last.hash) if last else (0, FIRST)
        lines = []
        for act in self._acts:
            number += 1
            line = line_of(act, number, previous)
            previous = line["hash"]
            lines.append(line)
        await self._connection.execute(sa.insert(audit_log), lines)


@asynccontextmanager
async def audited(engine: AsyncEngine) -> AsyncIterator[tuple[AsyncConnection, SqlAudit]]:
    """A transaction, and the log of what it does; both are committed, or neither.

    Raises:
        Transient: as `transaction`.
    """
    async with transaction(engine) as connection:
        audit = SqlAudit(connection)
        yield connection, audit
        await audit.write()
