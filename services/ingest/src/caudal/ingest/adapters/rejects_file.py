"""Rows that could not be read, in a CSV file beside their window."""

import csv
from pathlib import Path
from typing import TextIO

from caudal.common.domain.errors import InvalidInput

COLUMNS = ("row", "field", "value", "reason", "content")
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


class RejectsFile:
    """`<input>.rejects.csv`, made when the first row comes; one left by an earlier run is gone at once.

    Raises:
        InvalidInput: it cannot be written there.
    """

    def __init__(self, window: Path) -> None:
        self._path = window.with_name(f"{window.name}.rejects.csv")
        self._file: TextIO | None = None
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def put(self, number: int, field: str, value: str, reason: str, row: str) -> None:
        """Keep one, by the number of its row and the name of its column, with the reason."""
        try:
            if self._file is None:
                self._file = self._path.open("w", encoding="utf-8", newline="")
                csv.writer(self._file).writerow(COLUMNS)
            csv.writer(self._file).writerow([number, *map(_harmless, (field, value, reason, row))])
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InvalidInput:
        return InvalidInput("path", f"{str(self._path)!r}, for rows that cannot be read, cannot be written: {error}")

    def close(self) -> str | None:
        """Where they are now; None: there were none."""
        if self._file is None:
            return None
        self._file.close()
        return str(self._path)


def _harmless(cell: str) -> str:
    """`cell` so that no spreadsheet runs it."""
    return f"'{cell}" if cell.startswith(_RUN_BY_SPREADSHEETS) else cell
