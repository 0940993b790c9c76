"""Cells of a CSV file that a spreadsheet will open."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec

_RUNS = ("=", "+", "-", "@", "\t", "\r")


def number_cell(value: float | None) -> str:
    """The shortest text that reads back as `value`; nothing for nothing; whole numbers without a point."""
    if isinstance(value, int):
        return str(int(value))
    if value is None or not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def text_cell(text: str) -> str:
    """`text`, with a leading `'` where a spreadsheet would run it; numbers stay numbers."""
    if not text.lstrip("'").startswith(_RUNS):
        return text
    if text.startswith("'"):
        # Else it would be read back without the mark that it had before.
        return f"'{text}"
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text if text.strip() == text else f"'{text}"


def cell(value: Any) -> str:
    """Any field of an entry: nothing for nothing, times in UTC, objects and lists as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, int | float):
        return number_cell(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return text_cell(value if isinstance(value, str) else msgspec.json.encode(value).decode())
