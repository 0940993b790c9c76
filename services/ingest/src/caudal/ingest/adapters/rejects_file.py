"""Rows that could not be read, in a CSV file beside their window."""

import csv
from contextlib import suppress
from pathlib import Path
from typing import TextIO

COLUMNS = ("row", "field", "reason", "content")
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


class RejectsFile:
    """`<input>.rejects.csv`, made when the first row comes; one left by an earlier run is gone at once."""

    def __init__(self, window: Path) -> None:
        self._path = window.with_name(f"{window.name}.rejects.csv")
        self._file: TextIO | None = None
        with suppress(FileNotFoundError):
            self._path.unlink()

    def put(self, number: int, field: str, reason: str, row: str) -> None:
        """Keep one row, by its number, with the reason."""
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(COLUMNS)
        csv.writer(self._file).writerow([number, *map(_harmless, (field, reason, row))])

    def close(self) -> str | None:
        """Where they are now; None: there were none."""
        if self._file is None:
            return None
        self._file.close()
        return str(self._path)


def _harmless(cell: str) -> str:
    """`cell` so that no spreadsheet runs it."""
    return f"'{cell}" if cell.startswith(_RUN_BY_SPREADSHEETS) else cell
