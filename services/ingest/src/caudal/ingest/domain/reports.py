"""What became of a window, or would become of it: how many rows, whose, of what, and what could not be read."""

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Any

import msgspec

from caudal.common.bus.messages import RawReading

SHOWN = 5
"""Rows that a report shows."""
SHOWN_REJECTS = 100
"""Rejects that a report shows."""
TOLD = 100
"""Names that a report tells of."""
MAX_NAMES = 100_000
"""Names in memory."""


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
    points: int = 0
    """How many of those are points'."""
    unknown: list[str] = []
    """Names in the file that the catalog does not know, the first of them. Rows of a device that no point claims are
    sent, and kept until one does; those of points that are not there are rejected."""
    variables: list[str] = []
    """Codes that have values."""
    unconfigured: list[str] = []
    """`point/variable` that have values though the point has no such variable, the first of them: they are kept as they
    came, and in no series until it has."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    source_format: str = ""
    path: str = ""
    rejects_path: str | None = None
    """File of what was not taken, with row, column, value and reason; None: all was, or it was a dry run."""
    dry_run: bool = False
    columns: dict[str, str] = {}
    """Header to what it was taken for."""
    notes: list[str] = []
    first_rows: list[dict[str, Any]] = []
    """The first rows as they were understood."""
    first_rejects: list[dict[str, Any]] = []
    seconds: float = 0.0

    def count(self, row: int, device: str, reading: RawReading) -> None:
        """A row became a reading."""
        at = reading.measured_at
        self.rows += 1
        self.with_problems += bool(reading.problems)
        self.first_at = min(self.first_at or at, at)
        self.last_at = max(self.last_at or at, at)
        if len(self.first_rows) < SHOWN:
            shown = {"row": row, "device": device, "measured_at": at.astimezone(UTC).isoformat()}
            self.first_rows.append({**shown, "values": reading.values, "problems": reading.problems})

    def reject(self, row: int, field: str, value: str, reason: str) -> None:
        """A row could not be read."""
        self.rejected += 1
        if len(self.first_rejects) < SHOWN_REJECTS:
            self.first_rejects.append({"row": row, "field": field[:120], "value": value, "reason": reason[:300]})


class Seen:
    """Whose the rows of a window are, and what they measure; bounded, however many names there are."""

    def __init__(self) -> None:
        self._devices: set[str] = set()
        self._points: set[str] = set()
        self._unknown: dict[str, None] = {}
        self._variables: set[str] = set()
        self._unconfigured: dict[str, None] = {}

    def readings(self, device: str, point: str | None, configured: Set[str], readings: Sequence[RawReading]) -> None:
        """Some readings of one device; `configured` are the variables of its point."""
        codes = {code for reading in readings for code in reading.values}
        self._variables |= codes
        if len(self._devices) < MAX_NAMES:
            self._devices.add(device)
        if point is None:
            self.nobody(device)
            return
        if len(self._points) < MAX_NAMES:
            self._points.add(point)
        if len(self._unconfigured) < TOLD:
            self._unconfigured.update(dict.fromkeys(f"{point}/{code}" for code in sorted(codes - configured)))

    def nobody(self, name: str) -> None:
        """A name behind which there is no point."""
        if len(self._unknown) < TOLD:
            self._unknown[name[:80]] = None

    def told_in(self, report: Report) -> Report:
        """`report`, which tells of all this."""
        report.devices, report.points = len(self._devices), len(self._points)
        report.unknown, report.variables = [*self._unknown], sorted(self._variables)
        report.unconfigured = [*self._unconfigured][:TOLD]
        return report
