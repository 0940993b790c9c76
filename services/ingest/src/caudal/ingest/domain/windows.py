"""A batch window: a table whose rows are readings. From its header, first rows and options to a plan that reads it.

A row becomes a small payload and is read by a mapping like any other, so that times, numbers and their errors are the
same at every door.
"""

from collections import Counter
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.mapping import Mapping, TimeRule, ValueRule
from caudal.common.domain.payloads.reader import Measurement, Reader
from caudal.common.domain.payloads.refusals import Refusal, Unreadable, quoted
from caudal.common.domain.payloads.zones import Zones
from caudal.ingest.domain.columns import Column, Role, Wishes, folded, understand
from caudal.ingest.domain.options import Options
from caudal.ingest.domain.sniffing import (
    Separators,
    is_mostly_numbers,
    other_separators,
    sniff_decimal,
    sniff_time_format,
)

MAX_CELL = 32_768
"""Characters of one cell."""
SHOWN_CELL = 120
"""Characters of a cell that are told."""
MAX_READERS = 1000
"""In memory; points whose zone never changed share one for each zone, and others have their own."""
SAMPLE_ROWS = 1000
"""Rows that are looked at before the first is read."""

Cell = Any
"""Text, number, boolean, instant or None."""


class Row(msgspec.Struct, frozen=True):
    """One row of a table."""

    number: int
    """Line of a CSV file, row of a Parquet file; the first is 1."""
    cells: Sequence[Cell]
    fault: str = ""
    """Why it is no row."""


class Plan:
    """How the rows of one table are read.

    Args:
        headers: The table's columns.
        sample: Its first rows.
        options: What was said about it.
        source_format: `csv`, `parquet` or `json`; goes into each row's payload.

    Raises:
        InvalidInput: the table cannot be understood without an option; the error names it.
    """

    def __init__(self, headers: Sequence[str], sample: Sequence[Row], options: Options, source_format: str) -> None:
        rows = [row.cells for row in sample if not row.fault]
        cells = [[row[index] for row in rows if index < len(row)] for index in range(len(headers))]
        texts = [cell for column in cells for cell in column if isinstance(cell, str)]
        self.decimal: Literal[".", ","] = options.decimal or sniff_decimal(texts)
        self.columns = self._understood(headers, cells, options)
        self.time_format = options.time_format or sniff_time_format(self._time_texts(rows))
        self.names_points = any(column.role is Role.POINT for column in self.columns)
        self._options, self._source_format = options, source_format
        self._keys = [f"#{index}" for index in range(len(self.columns))]
        self._owner = next((i for i, column in enumerate(self.columns) if column.role in (Role.DEVICE, Role.POINT)), -1)
        self._readers: dict[str | Zones | None, Reader] = {}

    def owner(self, row: Row) -> str:
        """Name of the device or point that `row` is of; empty: all rows are of the one that was given.

        Raises:
            Unreadable: it is no row, or names none.
        """
        if row.fault:
            raise Unreadable(Refusal.UNDECODABLE, "row", row.fault)
        if len(row.cells) > len(self.columns) and any(row.cells[len(self.columns) :]):
            raise Unreadable(
                Refusal.UNDECODABLE, "row", f"has {len(row.cells)} cells, the header has {len(self.columns)}"
            )
        if self._owner < 0:
            return ""
        name = row.cells[self._owner] if self._owner < len(row.cells) else None
        if name is None or isinstance(name, bool) or not str(name).strip():
            raise Unreadable(Refusal.DEVICE, self.columns[self._owner].header, f"{quoted(name)} names no device")
        return str(name).strip()

    def read(self, row: Row, zones: Zones | None, received_at: datetime) -> Measurement:
        """The reading in `row`.

        Args:
            row: One row.
            zones: Of times without one, unless the options say; None refuses them.
            received_at: When the window is run.

        Raises:
            Unreadable: there is none; the error names the column.
        """
        for index, cell in enumerate(row.cells):
            if isinstance(cell, str) and len(cell) > MAX_CELL:
                raise Unreadable(
                    Refusal.UNDECODABLE, self.columns[index].header, f"has {len(cell)} characters, more than {MAX_CELL}"
                )
        payload = dict(zip(self._keys, row.cells, strict=False))
        outcome = self._reader(self._options.time_zone or zones).read(payload, received_at)
        if outcome.readings:
            return outcome.readings[0]
        error = outcome.refused[0]
        raise Unreadable(error.kind, self._header(error.field), error.reason)

    def payload(self, row: Row, measured_at: datetime | None = None) -> dict[str, Cell]:
        """The row as it came, with its metadata: `__src_format` and, once it is known, `ts`."""
        cells = {
            column.header: cell
            for column, cell in zip(self.columns, row.cells, strict=False)
            if cell is not None and cell != ""
        }
        cells["__src_format"] = self._source_format
        if measured_at:
            cells["ts"] = measured_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return cells

    def cell(self, row: Row, header: str) -> str:
        """What `row` has in that column, as text and not all of it; empty: nothing, or there is no such column."""
        found = (cell for column, cell in zip(self.columns, row.cells, strict=False) if column.header == header)
        cell = next(found, None)
        return "" if cell is None else str(cell)[:SHOWN_CELL]

    def header_of(self, code: str) -> str:
        """The column that a variable is read from."""
        found = [column.header for column in self.columns if column.code and folded(column.code) == folded(code)]
        return found[0] if found else code

    def spellings(self, configured: Set[str]) -> dict[str, str]:
        """Codes by headers to those of a point's variables that differ in spelling alone: `Totalizador`, `totalizador`.

        What somebody said of a column stands, and where two could be meant nothing is guessed.
        """
        codes = {column.code for column in self.columns if column.role is Role.VARIABLE}
        guessed = codes - configured - set(self._options.columns.values())
        wanted = configured - codes
        alike = {code: [name for name in wanted if folded(name) == folded(code)] for code in guessed}
        alone = Counter(map(folded, guessed))
        return {code: names[0] for code, names in alike.items() if len(names) == 1 and alone[folded(code)] == 1}

    def _understood(self, headers: Sequence[str], cells: Sequence[Sequence[Cell]], options: Options) -> list[Column]:
        missing = frozenset(text.casefold() for text in options.missing)
        numeric = {
            index
            for index, column in enumerate(cells)
            if is_mostly_numbers(column, self.decimal, options.thousands, missing)
        }
        wishes = Wishes(
            options.time_column,
            options.id_column,
            options.columns,
            options.ignore,
            options.id_kind,
            options.point is None and options.device is None,
        )
        otherwise = {
            index: found
            for index, column in enumerate(cells)
            if (found := other_separators(column, self.decimal, options.thousands, missing))
        }
        columns = understand(headers, wishes, numeric | otherwise.keys())
        for index, separators in otherwise.items():
            # A column that was named by hand is never left out: each cell of it that is no number is told.
            if columns[index].role is Role.VARIABLE and columns[index].header not in options.columns:
                raise self._other_than_the_table(columns[index].header, separators)
        return columns

    def _other_than_the_table(self, header: str, its: Separators) -> InvalidInput:
        """A column left out in silence would be a loss, and one read by a guess wrong by a factor of a thousand."""
        if its.decimal != self.decimal:
            reason = (
                f"by decimal {its.decimal!r}, while others have {self.decimal!r}: say which holds, and ignore the rest"
            )
            return InvalidInput("decimal", f"{quoted(its.cell)} in {header!r} is a number {reason}")
        reason = f"{quoted(its.cell)} in {header!r} is a number if {its.thousands!r} parts thousands"
        return InvalidInput("thousands", f"{reason}: give option thousands, or ignore the column")

    def _reader(self, zone: str | Zones | None) -> Reader:
        if zone not in self._readers:
            if len(self._readers) >= MAX_READERS:
                self._readers.clear()
            self._readers[zone] = Reader(self._mapping(), zone)
        return self._readers[zone]

    def _mapping(self) -> Mapping:
        def of(role: Role) -> list[str]:
            return [self._keys[index] for index, column in enumerate(self.columns) if column.role is role]

        options, logged = self._options, of(Role.LOGGED)
        return Mapping(
            time=TimeRule(
                path=of(Role.TIME)[0],
                time_of_day="".join(of(Role.TIME_OF_DAY)),
                format=self.time_format,
                clock_change=options.clock_change,
            ),
            logged=TimeRule(path=logged[0], clock_change=options.clock_change) if logged else None,
            values={
                column.code: ValueRule(path=self._keys[index])
                for index, column in enumerate(self.columns)
                if column.role is Role.VARIABLE
            },
            decimal=self.decimal,
            thousands=options.thousands,
            missing=options.missing,
        )

    def _header(self, field: str) -> str:
        """The header behind a field of the small payload, or the field itself."""
        return self.columns[self._keys.index(field)].header if field in self._keys else field

    def _time_texts(self, rows: Sequence[Sequence[Cell]]) -> list[str]:
        index = {column.role: index for index, column in enumerate(self.columns)}
        indexes = [index[role] for role in (Role.TIME, Role.TIME_OF_DAY) if role in index]
        parts = [[row[each] for each in indexes] for row in rows if max(indexes) < len(row)]
        return [" ".join(cells) for cells in parts if all(isinstance(cell, str) and cell for cell in cells)]
