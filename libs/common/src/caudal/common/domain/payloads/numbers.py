"""What counts as a number: JSON numbers, numbers as text, switches where the mapping says so. Nothing else."""

import math
import re
from collections.abc import Callable
from typing import Any

from caudal.common.domain.payloads.refusals import quoted

MAX_INTEGER = 2**63
"""Integers from here on are no counts: nothing could store them exactly."""
MAX_TEXT = 64
"""Characters of a number written as text."""

Number = int | float
Parsed = Number | str | None
"""A number; None: nothing was measured; text: the reason why it is no number."""
ReadNumber = Callable[[Any], Parsed]

SWITCHES: dict[str, int] = {"true": 1, "on": 1, "open": 1, "yes": 1, "false": 0, "off": 0, "closed": 0, "no": 0}


def number_reader(decimal: str = ".", thousands: str = "", missing: frozenset[str] = frozenset()) -> ReadNumber:
    """How numbers are read where text uses these separators.

    Strict on purpose: under a decimal comma `"1.234"` is refused unless the dot is declared as thousands
    separator, since a guess would be wrong by a factor of a thousand.
    """
    pattern = _pattern(decimal, thousands)

    def read(value: Any) -> Parsed:
        kind = type(value)
        if kind is float:
            return value if math.isfinite(value) else f"{value} is not a finite number"
        if kind is int:
            return value if -MAX_INTEGER < value < MAX_INTEGER else "is too large for a count"
        if value is None:
            return None
        if kind is not str:
            return f"{quoted(value)} is no number"
        return _from_text(value.strip())

    def _from_text(text: str) -> Parsed:
        if not text or text.casefold() in missing:
            return None
        if len(text) > MAX_TEXT or not pattern.fullmatch(text):
            return f"{quoted(text)} is no number" + (f" with decimal {decimal!r}" if decimal != "." else "")
        plain = (text.replace(thousands, "") if thousands else text).replace(decimal, ".")
        return read(int(plain)) if plain.lstrip("+-").isdecimal() else read(float(plain))

    return read


def switch_reader(number: ReadNumber) -> ReadNumber:
    """Like `number`, and true or ON is 1, false or OFF is 0."""

    def read(value: Any) -> Parsed:
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, str) and value.strip().casefold() in SWITCHES:
            return SWITCHES[value.strip().casefold()]
        return number(value)

    return read


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    whole = rf"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)" if thousands else "[0-9]+"
    point = re.escape(decimal)
    return re.compile(rf"[+-]?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?")
