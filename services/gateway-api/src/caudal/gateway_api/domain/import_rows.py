"""Rows of a foreign table as fields of ours: which column is which, and what each cell says.

An empty cell says nothing: an import fills in and changes, it never empties. What cannot be read refuses its row.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.import_maps import ImportMap
from caudal.common.domain.payloads.numbers import ReadNumber, number_reader
from caudal.gateway_api.domain.import_fields import (
    HEADERS,
    CellKind,
    ImportKind,
    field_kind,
    folded,
    nested,
    words_of,
)

MAX_ROWS = 100_000
"""Of one import; history has no bound."""
SHOWN_CELL = 120
"""Characters of a cell that are told."""
MISSING = frozenset({"na", "n/a", "nan", "null", "none", "-", "#n/a"})
"""What tables say for "nothing" where a number would stand."""

_guarded = re.compile(r"'+[=+\-@\t\r]")
"""How we write what a spreadsheet would run; the mark is not part of the text."""
_with_comma = re.compile(r"\s*[+-]?\d+,\d+\s*")
_with_point = re.compile(r"\s*[+-]?\d+\.\d+\s*")
_looks_grouped = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")
_between_words = re.compile(r"[;,\s]+")
_YES = {"true": True, "1": True, "yes": True, "si": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    number: int
    """As people count them: a spreadsheet's row, or the place in a list from 1 on."""
    cells: Mapping[str, Any]
    """By header."""
    fault: str = ""
    """Why it cannot be read; empty: it can."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that was read."""

    headers: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Columns:
    """What each column was taken for."""

    fields: Mapping[str, str]
    """Header to field."""
    guessed: Sequence[str]
    """Headers that nobody spoke of."""
    left_out: Sequence[str]


@dataclass(frozen=True, slots=True)
class Given:
    """What a row says."""

    row: int
    fields: Mapping[str, Any]
    problem: InvalidInput | None = None
    """Why it says nothing that can be used."""


class Table:
    """A sheet and what its columns were taken for, to tell of a cell that was refused."""

    def __init__(self, sheet: Sheet, columns: Columns, said: ImportMap) -> None:
        self.columns = columns
        self._headers = {field: header for header, field in columns.fields.items()} | said.columns
        self._rows = {row.number: row.cells for row in sheet.rows}

    def cell(self, row: int, field: str) -> tuple[str | None, str | None]:
        """The header that `field` was taken from and what stands there in that row; None: nothing does."""
        header = self._headers.get(field)
        value = self._rows.get(row, {}).get(header) if header is not None else None
        return header, None if value is None else str(value)[:SHOWN_CELL]


def columns_of(kind: ImportKind, headers: Sequence[str], said: ImportMap) -> Columns:
    """Which column is which field: as the mapping says, and by their names where it says nothing.

    Raises:
        InvalidInput: the mapping names a field or a header that does not exist.
    """
    for part in (said.columns, said.constants, said.values):
        for field in part:
            if field_kind(kind, field) is None:
                raise InvalidInput(f"map.{_name_of(part, said)}.{field[:60]}", f"is no field of {kind}")
    for field, header in said.columns.items():
        if header not in headers:
            known = ", ".join(headers)[:200]
            raise InvalidInput(f"map.columns.{field}", f"there is no column {header[:60]!r}; there are {known}")
    taken = {header: field for field, header in said.columns.items()}
    by_name = _by_name(kind)
    guessed: list[str] = []
    for header in headers:
        meant = (by_name.get(folded(header), header), folded(header))
        found = next((field for field in meant if field_kind(kind, field)), None)
        free = found not in said.columns and found not in taken.values()
        if found is not None and free and header not in taken and header not in said.ignore:
            taken[header] = found
            guessed.append(header)
    return Columns(taken, guessed, [header for header in headers if header not in taken])


def _name_of(part: Mapping[str, Any], said: ImportMap) -> str:
    return "columns" if part is said.columns else "constants" if part is said.constants else "values"


def _by_name(kind: ImportKind) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, names in HEADERS[kind].items():
        found |= {name: found.get(name, field) for name in names.split()}
    return found


def given_rows(kind: ImportKind, sheet: Sheet, said: ImportMap, columns: Columns) -> Iterable[Given]:
    """What each row says, in order.

    Raises:
        InvalidInput: numbers may have a decimal comma or thousands.
    """
    sources = [(field, header) for header, field in columns.fields.items()]
    # One column may be two fields: what measures is often called as what is measured.
    sources += [(field, header) for field, header in said.columns.items() if columns.fields.get(header) != field]
    numeric = [header for field, header in sources if field_kind(kind, field) is CellKind.NUMBER]
    decimal = said.decimal or _decimal_of(row.cells.get(header) for row in sheet.rows for header in numeric)
    readers = {field: _reader(kind, field, said, decimal) for field, _ in sources}
    constants = {field: _reader(kind, field, said, ".")(value) for field, value in said.constants.items()}
    return (_given(row, sources, readers, constants) for row in sheet.rows)


def _given(
    row: Row,
    sources: Sequence[tuple[str, str]],
    readers: Mapping[str, Callable[[Any], Any]],
    constants: Mapping[str, Any],
) -> Given:
    if row.fault:
        return Given(row.number, {}, InvalidInput("row", row.fault))
    fields = dict(constants)
    try:
        for field, header in sources:
            value = readers[field](row.cells.get(header))
            if value is not None:
                fields[field] = value
    except InvalidInput as error:
        return Given(row.number, fields, error)
    return Given(row.number, nested(fields))


def _decimal_of(cells: Iterable[Any]) -> str:
    """The decimal separator of a table's numbers.

    Raises:
        InvalidInput: commas may as well part thousands.
    """
    texts = [cell for cell in cells if isinstance(cell, str)]
    commas = [text for text in texts if _with_comma.fullmatch(text)]
    if not commas or any(_with_point.fullmatch(text) for text in texts):
        return "."
    if all(_looks_grouped.fullmatch(text) for text in commas):
        raise InvalidInput("map.decimal", f"{commas[0].strip()!r} may be a fraction or thousands: say decimal")
    return ","


def _reader(kind: ImportKind, field: str, said: ImportMap, decimal: str) -> Callable[[Any], Any]:
    """Reads a field's cells; None is nothing said. Raises InvalidInput, which names the field."""
    cell = field_kind(kind, field) or CellKind.TEXT
    number = number_reader(decimal, "", MISSING)
    ours = words_of(kind, field) if cell is CellKind.WORD else {}
    words = ours | {folded(word): meaning for word, meaning in said.values.get(field, {}).items()}

    def read(value: Any) -> Any:
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, str) and words and folded(value) in words:
            value = words[folded(value)]
        return _read(cell, value, field, number)

    return read


def _read(cell: CellKind, value: Any, field: str, number: ReadNumber) -> Any:
    if cell in (CellKind.NUMBER, CellKind.WHOLE):
        return _number(value, field, number, whole=cell is CellKind.WHOLE)
    if cell is CellKind.YES:
        return _yes(value, field)
    if cell is CellKind.PLAIN:
        return _plain(value, field)
    if cell not in (CellKind.WORDS, CellKind.NUMBERS):
        return _text(value, field) or None
    value = _plain(value, field)
    parts = value if isinstance(value, list) else [part for part in _between_words.split(_text(value, field)) if part]
    return parts if cell is CellKind.WORDS else [_number(part, field, number_reader(), whole=False) for part in parts]


def _text(value: Any, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidInput(field, "is no text")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return (text[1:] if _guarded.match(text) else text).strip()


def _number(value: Any, field: str, number: ReadNumber, *, whole: bool) -> float | int | None:
    found = number(value)
    if isinstance(found, str):
        raise InvalidInput(field, found)
    if found is None or not whole:
        return found
    if found != int(found):
        raise InvalidInput(field, f"{found} is no whole number")
    return int(found)


def _yes(value: Any, field: str) -> bool:
    found = value if isinstance(value, bool) else _YES.get(folded(str(value)))
    if found is None:
        raise InvalidInput(field, f"{str(value)[:40]!r} is neither yes nor no")
    return found


def _plain(value: Any, field: str) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(field, f"is no JSON: {error}"[:200]) from error
