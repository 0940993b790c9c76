"""A table's rows become readings on the bus, in constant memory, or are shown without being sent."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from caudal.common.bus.messages import RawReading
from caudal.common.domain.errors import Transient
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Catalog, Clock, Outgoing, Publisher
from caudal.ingest.domain.columns import Role
from caudal.ingest.domain.options import Options
from caudal.ingest.domain.payloads import text_of
from caudal.ingest.domain.reports import MAX_NAMES, Report, Seen
from caudal.ingest.domain.windows import SAMPLE_ROWS, Plan, Row
from caudal.ingest.handlers.bundles import Source, bundles
from caudal.ingest.handlers.lead import Lead
from caudal.ingest.handlers.owners import Owner, Owners
from caudal.ingest.ports import Batch, Rejects, Table

T = TypeVar("T")

ROWS_AT_ONCE = 5000
"""Rows gathered before they are sent, so that each device's fill bundles."""
TICK = timedelta(microseconds=1)


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
        self._seen = Seen()
        self._codes: dict[frozenset[str], Mapping[str, str]] = {}

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
        report.notes += [note for note in table.notes if note not in report.notes]
        report.seconds = round(time.monotonic() - begun, 3)
        return self._seen.told_in(report)

    async def _send(
        self, plan: Plan, only: Owner | None, rows: Sequence[Row], rejects: Rejects | None, report: Report
    ) -> None:
        by_device: dict[str, list[RawReading]] = {}
        owners: dict[str, Owner] = {}
        for row in rows:
            try:
                owner = only or await self._owner(plan, row)
                reading = self._reading(plan, row, owner)
            except Unreadable as error:
                _reject(plan, row, error, rejects, report)
            else:
                by_device.setdefault(owner.device, []).append(reading)
                owners[owner.device] = owner
                self._last_sent_at = reading.received_at
                report.count(row.number, owner.device, reading)
                if rejects and reading.problems:
                    _tell_problems(plan, row, reading, rejects)
        for device, readings in by_device.items():
            owner = owners[device]
            self._seen.readings(device, owner.point, owner.variables, readings)
        if self._publisher:
            messages = [
                message
                for device, readings in by_device.items()
                for message in bundles(Source(device, Inlet.WINDOW, None, self._window, report.source_format), readings)
            ]
            await self._publish(self._publisher, messages)

    async def _owner(self, plan: Plan, row: Row) -> Owner:
        name = plan.owner(row)
        try:
            return await self._owners.of(name, plan.names_points)
        except Unreadable as error:
            if error.kind is Refusal.DEVICE:
                self._seen.nobody(name)
            raise

    def _reading(self, plan: Plan, row: Row, owner: Owner) -> RawReading:
        self._received_at = max(self._clock.now(), self._received_at + TICK)
        measured = plan.read(row, owner.zones, self._received_at)
        codes = self._codes_at(plan, owner)
        return RawReading(
            measured_at=measured.measured_at,
            received_at=self._received_at,
            values=_renamed(measured.values, codes),
            logged_at=measured.logged_at,
            problems=_renamed(measured.problems, codes),
            payload=text_of(plan.payload(row, measured.measured_at)),
        )

    def _codes_at(self, plan: Plan, owner: Owner) -> Mapping[str, str]:
        """Codes that the owner's point spells otherwise; points are many, their sets of variables are few."""
        if owner.variables not in self._codes:
            if len(self._codes) >= MAX_NAMES:
                self._codes.clear()
            self._codes[owner.variables] = plan.spellings(owner.variables)
        return self._codes[owner.variables]

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


def _renamed(found: dict[str, T], codes: Mapping[str, str]) -> dict[str, T]:
    return {codes.get(code, code): value for code, value in found.items()} if codes else found


def _describe(plan: Plan, report: Report) -> None:
    for column in plan.columns:
        meaning = f"variable {column.code}" if column.role is Role.VARIABLE else column.role.value
        details = [f"header says {column.unit}" if column.unit else "", column.note]
        report.columns[column.header] = ", ".join(filter(None, [meaning, *details]))
    report.notes.append(f"decimal separator {plan.decimal}, times {plan.time_format}")


def _reject(plan: Plan, row: Row, error: Unreadable, rejects: Rejects | None, report: Report) -> None:
    value = plan.cell(row, error.field)
    report.reject(row.number, error.field, value, error.reason)
    if rejects:
        rejects.put(row.number, error.field, value, error.reason, _content(plan, row))


def _tell_problems(plan: Plan, row: Row, reading: RawReading, rejects: Rejects) -> None:
    for code, reason in reading.problems.items():
        header = plan.header_of(code)
        reason = f"{reason} (what else the row says was taken)"
        rejects.put(row.number, header, plan.cell(row, header), reason, _content(plan, row))


def _content(plan: Plan, row: Row) -> str:
    is_odd = row.fault or len(row.cells) > len(plan.columns)
    return text_of(list(row.cells) if is_odd else plan.payload(row))
