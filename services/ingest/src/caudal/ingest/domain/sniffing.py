"""What a table from the wild is made of, told from its first lines: delimiter, decimal separator, form of times.

Where the first lines allow two readings, nothing is guessed: the error says which option settles it.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.numbers import number_reader
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.common.domain.payloads.times import EARLIEST, time_reader

DELIMITERS = ",;\t|"

_decimal_comma = re.compile(r"[+-]?\d+(?:[. ']\d{3})*,\d+")
_looks_grouped = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_looks_parted = re.compile(r"[+-]?\d+(?:[.,' ]\d+)+")
_control = re.compile(r"[\x00-\x08\x0e-\x1f]")
_is_number = number_reader()

DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%y", "%d.%m.%y")
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y", "%m-%d-%y")
YEAR_FIRST = ("%Y/%m/%d", "%Y.%m.%d")
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")


def check_first_line(line: str) -> None:
    """Nothing, if a table in text may begin so.

    Raises:
        InvalidInput: its lines end otherwise, or it is no text.
    """
    if _control.search(line):
        raise InvalidInput("file", "is neither CSV nor Parquet: it is no text")
    if "\r" in line.rstrip("\r\n"):
        raise InvalidInput("file", "has lines that end with CR alone: save it with LF or CRLF")


def sniff_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that cuts the header and the most other lines into the same number of cells, more than one.

    Raises:
        InvalidInput: none does.
    """
    best, best_score = "", (0, 0)
    for delimiter in DELIMITERS:
        rows = list(_rows_up_to_a_fault(lines, delimiter))
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows)
        if width > 1 and (alike, width) > best_score:
            best, best_score = delimiter, (alike, width)
    if not best:
        raise InvalidInput("delimiter", "no delimiter among , ; TAB | cuts the first line in two; say which it is")
    return best


def _rows_up_to_a_fault(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    with suppress(csv.Error):
        yield from (row for row in csv.reader(lines, delimiter=delimiter) if row)


def sniff_decimal(cells: Sequence[str]) -> Literal[".", ","]:
    """`,` if numbers in `cells` have a decimal comma, else `.`.

    Raises:
        InvalidInput: they may as well be thousands.
    """
    with_comma = [cell.strip() for cell in cells if _decimal_comma.fullmatch(cell.strip())]
    if not with_comma or any(_has_decimal_point(cell.strip()) for cell in cells):
        return "."
    if all(_looks_grouped.fullmatch(cell) for cell in with_comma):
        raise InvalidInput("decimal", f"{with_comma[0]!r} may be a fraction or thousands: give option decimal")
    return ","


def _has_decimal_point(cell: str) -> bool:
    return isinstance(_is_number(cell), float) and not _looks_grouped.fullmatch(cell)


def sniff_time_format(cells: Sequence[str]) -> str:
    """The form that reads the most times in `cells`, at least half: `auto`, or a strptime pattern.

    Raises:
        InvalidInput: no form does, or day and month may be swapped.
    """
    known = [cell.strip() for cell in cells if cell.strip()]
    if 2 * _read_by("auto", known) >= len(known):
        return "auto"
    some = known[:: max(1, len(known) // 20)]
    best: list[tuple[int, str]] = []
    for dates in (DAY_FIRST, MONTH_FIRST, YEAR_FIRST):
        forms = [date + time for date in dates for time in TIMES]
        likely = [form for form in forms if _read_by(form, some)]
        best.append(max(((_read_by(form, known), form) for form in likely), default=(0, "")))
    (day_first, day_form), (month_first, month_form), _ = best
    if day_first and day_first == month_first:
        raise InvalidInput(
            "time_format", f"{known[0][:40]!r} may begin with day or month: say {day_form!r} or {month_form!r}"
        )
    count, form = max(best)
    if 2 * count < len(known):
        raise InvalidInput("time_format", f"{known[0][:40]!r} is in no form known here; say it as a strptime pattern")
    return form


def _read_by(form: str, cells: Sequence[str]) -> int:
    """How many of `cells` are times of our days in this form."""
    read = time_reader(form, "UTC", "before")
    count = 0
    for cell in cells:
        with suppress(Unreadable):
            count += read(cell) >= EARLIEST
    return count


def checked_time_format(form: str) -> str:
    """`form`, if times can be read by it.

    Raises:
        InvalidInput: it is neither a name nor a pattern.
    """
    try:
        time_reader(form, None, "reject")
    except InvalidInput as error:
        raise InvalidInput("time_format", error.reason) from error
    return form


def is_mostly_numbers(cells: Sequence[Any], decimal: str, thousands: str, missing: frozenset[str]) -> bool:
    """Whether at least half of the cells that hold something are numbers; a column that holds nothing yet may be."""
    held = _held(cells, missing)
    return 2 * sum(_are_numbers(held, decimal, thousands)) >= len(held)


class Separators(NamedTuple):
    """By which the cells of a column would be numbers."""

    decimal: str
    thousands: str
    cell: str
    """One that is no number by those of its table."""


def other_separators(cells: Sequence[Any], decimal: str, thousands: str, missing: frozenset[str]) -> Separators | None:
    """Those by which a column holds mostly numbers, and more than by those of its table; None: there are none."""
    held = _held(cells, missing)
    now = _are_numbers(held, decimal, thousands)
    refused = [str(cell) for cell, is_number in zip(held, now, strict=True) if not is_number]
    cell = next((text for text in refused if _looks_parted.fullmatch(text.strip())), None)
    if cell is None:
        return None
    for other in sorted(".,", key=lambda sign: sign != decimal):
        for grouping in ("", *(sign for sign in ".,' " if sign != other)):
            then = sum(_are_numbers(held, other, grouping))
            if then > sum(now) and 2 * then >= len(held):
                return Separators(other, grouping, cell)
    return None


def _held(cells: Sequence[Any], missing: frozenset[str]) -> list[Any]:
    read = number_reader(missing=missing)
    return [cell for cell in cells if read(cell) is not None]


def _are_numbers(cells: Sequence[Any], decimal: str, thousands: str) -> list[bool]:
    read = number_reader(decimal, thousands)
    return [not isinstance(read(cell), str) for cell in cells]
