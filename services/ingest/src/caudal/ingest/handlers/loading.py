"""A table's rows become readings on the bus, in constant memory, or are shown without being sent."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from caudal.common.bus.messages import RawReading
from caudal.common.domain.errors import Transient
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Catalog, Clock, Outgoing, Publisher
from caudal.ingest.domain.columns import Role
from caudal.ingest.domain.options import Options
from caudal.ingest.domain.payloads import text_of
from caudal.ingest.domain.windows import SAMPLE_ROWS, Plan, Row
from caudal.ingest.handlers.bundles import Source, bundles
from caudal.ingest.handlers.lead import Lead
from caudal.ingest.handlers.owners import MAX_NAMES, Owner, Owners
from caudal.ingest.ports import Batch, Rejects, Table

ROWS_AT_ONCE = 5000
"""Rows gathered before they are sent, so that each device's fill bundles."""
SHOWN = 5
"""Rows and rejects that a report shows."""
TICK = timedelta(microseconds=1)


class Report(msgspec.Struct, kw_only=True):
    """What became of a window."""

    rows: int = 0
    """Rows that became readings."""
    rejected: int = 0
    """Rows that could not be read."""
    with_problems: int = 0
    """Of `rows`, those of which some cell could not be read."""
    devices: int = 0
    """How many devices they are of; counted up to 100 000."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    source_format: str = ""
    path: str = ""
    rejects_path: str | None = None
    """File of rejected rows with their numbers and reasons; None: there were none, or it was a dry run."""
    dry_run: bool = False
    columns: dict[str, str] = {}
    """Header to what it was taken for."""
    notes: list[str] = []
    first_rows: list[dict[str, Any]] = []
    """The first rows as they were understood."""
    first_rejects: list[dict[str, Any]] = []
    seconds: float = 0.0


class Loading:
    """Loads one table.

    Args:
        catalog: Whose devices they are.
        publisher: The bus; None: a dry run.
        clock: When they came.
        window: Id of the window; goes with each reading.
        rows_per_s: Rows sent per second at most, so that uplinks find room between them; 0: no bound.
        lead: Holds the window back while it is too far ahead of the processor; None: nothing does.
        patience_s: How long the bus may be away before the window is given up.
    """

    def __init__(
        self,
        catalog: Catalog,
        publisher: Publisher | None,
        clock: Clock,
        *,
        window: str,
        rows_per_s: int = 0,
        lead: Lead | None = None,
        patience_s: float = 60.0,
    ) -> None:
        self._catalog = catalog
        self._owners = Owners(catalog)
        self._publisher = publisher
        self._clock = clock
        self._window = window
        self._rows_per_s = rows_per_s
        self._lead = lead
        self._patience_s = patience_s
        self._received_at = self._last_sent_at = clock.now()
        self._devices: set[str] = set()

    async def load(
        self, table: Table, options: Options, rejects: Rejects | None, progress: Callable[[int], None]
    ) -> Report:
        """Send every row of `table` that can be read, put away the others; in the order of the file, per device.

        Raises:
            InvalidInput: the table or the options cannot be used; rows that were sent before stay, and come to the same
                when the window is run again.
            Transient: the bus or the catalog was away for too long.
        """
        begun = time.monotonic()
        report = Report(source_format=table.source_format, dry_run=self._publisher is None, notes=list(table.notes))
        self._owners = Owners(self._catalog, options.client)
        only = await self._owners.given(options)
        sample, rest = await _sampled(table.batches())
        rows = [row for batch in sample for row in batch.rows]
        plan = Plan(table.headers, rows[:SAMPLE_ROWS], options, table.source_format)
        _describe(plan, report)
        if options.time_zone is None:
            report.notes.append("times without a zone are those of the device's point, UTC where there is none")
        pending: list[Row] = []
        async for batch in _chained(sample, rest):
            pending += batch.rows
            if len(pending) >= ROWS_AT_ONCE:
                await self._send(plan, only, pending, rejects, report)
                await self._keep_pace(report.rows, begun)
                pending = []
            progress(batch.done)
        await self._send(plan, only, pending, rejects, report)
        report.devices, report.seconds = len(self._devices), round(time.monotonic() - begun, 3)
        return report

    async def _send(
        self, plan: Plan, only: Owner | None, rows: Sequence[Row], rejects: Rejects | None, report: Report
    ) -> None:
        by_device: dict[str, list[RawReading]] = {}
        for row in rows:
            try:
                name = plan.owner(row)
                owner = only or await self._owners.of(name, plan.names_points)
                reading = self._reading(plan, row, owner)
            except Unreadable as error:
                _reject(plan, row, error, rejects, report)
            else:
                by_device.setdefault(owner.device, []).append(reading)
                self._last_sent_at = reading.received_at
                _count(report, row, owner.device, reading)
        if len(self._devices) < MAX_NAMES:
            self._devices.update(by_device)
        if self._publisher:
            messages = [
                message
                for device, readings in by_device.items()
                for message in bundles(Source(device, Inlet.WINDOW, None, self._window, report.source_format), readings)
            ]
            await self._publish(self._publisher, messages)

    def _reading(self, plan: Plan, row: Row, owner: Owner) -> RawReading:
        self._received_at = max(self._clock.now(), self._received_at + TICK)
        measured = plan.read(row, owner.zones, self._received_at)
        return RawReading(
            measured_at=measured.measured_at,
            received_at=self._received_at,
            values=measured.values,
            logged_at=measured.logged_at,
            problems=measured.problems,
            payload=text_of(plan.payload(row, measured.measured_at)),
        )

    async def _publish(self, publisher: Publisher, messages: Sequence[Outgoing]) -> None:
        given_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                await publisher.publish(messages)
            except Transient as error:
                if time.monotonic() + error.retry_after_s > given_up_at:
                    raise
                await asyncio.sleep(error.retry_after_s)
            else:
                return

    async def _keep_pace(self, rows: int, begun: float) -> None:
        if self._rows_per_s and self._publisher:
            await asyncio.sleep(max(0.0, rows / self._rows_per_s - (time.monotonic() - begun)))
        if self._lead and self._publisher:
            await self._lead.sent(rows, self._last_sent_at)


async def _sampled(batches: AsyncIterator[Batch]) -> tuple[list[Batch], AsyncIterator[Batch]]:
    sample: list[Batch] = []
    async for batch in batches:
        sample.append(batch)
        if sum(len(each.rows) for each in sample) >= SAMPLE_ROWS:
            break
    return sample, batches


async def _chained(sample: Sequence[Batch], rest: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    for batch in sample:
        yield batch
    async for batch in rest:
        yield batch


def _describe(plan: Plan, report: Report) -> None:
    for column in plan.columns:
        meaning = f"variable {column.code}" if column.role is Role.VARIABLE else column.role.value
        details = [f"header says {column.unit}" if column.unit else "", column.note]
        report.columns[column.header] = ", ".join(filter(None, [meaning, *details]))
    report.notes.append(f"decimal separator {plan.decimal}, times {plan.time_format}")


def _count(report: Report, row: Row, device: str, reading: RawReading) -> None:
    at = reading.measured_at
    report.rows += 1
    report.with_problems += bool(reading.problems)
    report.first_at = min(report.first_at or at, at)
    report.last_at = max(report.last_at or at, at)
    if len(report.first_rows) < SHOWN:
        shown = {"row": row.number, "device": device, "measured_at": at.astimezone(UTC).isoformat()}
        report.first_rows.append({**shown, "values": reading.values, "problems": reading.problems})


def _reject(plan: Plan, row: Row, error: Unreadable, rejects: Rejects | None, report: Report) -> None:
    report.rejected += 1
    if len(report.first_rejects) < SHOWN:
        report.first_rejects.append({"row": row.number, "field": error.field, "reason": error.reason})
    if rejects:
        is_odd = row.fault or len(row.cells) > len(plan.columns)
        text = text_of(list(row.cells) if is_odd else plan.payload(row))
        rejects.put(row.number, error.field, error.reason, text)
