"""Partial changes to what is stored."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from caudal.common.domain.errors import InvalidInput

MAX_DEPTH = 32
_half = re.compile("[\ud800-\udfff]")


def merged(current: Mapping[str, Any], patch: Mapping[str, Any], whole: Collection[str] = ()) -> dict[str, Any]:
    """`current` with what `patch` says, as RFC 7396 has it: objects are merged, null removes, the rest replaces.

    Args:
        current: What is there.
        patch: What changes.
        whole: Fields that are replaced even if they are objects.
    """
    result = dict(current)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping) and name not in whole:
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            result[name] = value
    return result


def refuse_unprintable(value: Any, field: str = "body", depth: int = 0) -> None:
    """Nothing, if every text in `value` can be stored by every database: no NUL, no half of a surrogate pair.

    Raises:
        InvalidInput: one can't be, or the whole is nested too deeply; the error names where.
    """
    if depth > MAX_DEPTH:
        raise InvalidInput(field, f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        if "\x00" in value or (not value.isascii() and _half.search(value)):
            raise InvalidInput(field, "has a character that cannot be stored")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            refuse_unprintable(name, field, depth + 1)
            refuse_unprintable(item, f"{field}.{name}" if field != "body" else str(name), depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_unprintable(item, f"{field}.{index}", depth + 1)
