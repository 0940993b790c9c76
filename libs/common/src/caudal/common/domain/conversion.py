"""What cannot be made of plain data, in the words and under the names of who sent it."""

import re

import msgspec

from caudal.common.domain.errors import InvalidInput

_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_wanted = re.compile(r"Expected `([a-z |]+)`, got `\w+`\Z")
_named = re.compile(r"Object (missing required|contains unknown) field `(.*)`\Z", re.DOTALL)
_index = re.compile(r"\[(\d+)\]")


def fault_of(error: msgspec.ValidationError, field: str = "") -> InvalidInput:
    """Which field cannot be used, and why: `variables.0.scale: must be a number`; its name begins with `field`."""
    reason, _, path = str(error).partition(" - at `$")
    place = field + _index.sub(r".\1", path.removesuffix("`"))
    if isinstance(error.__cause__, InvalidInput):
        return InvalidInput(_joined(place, error.__cause__.field), error.__cause__.reason)
    if named := _named.match(reason):
        told = "is missing" if named[1] == "missing required" else "there is no such field"
        return InvalidInput(_joined(place, named[2][:80]), told)
    if wanted := _wanted.match(reason):
        reason = "must be " + " or ".join(_WORDS.get(word, word) for word in wanted[1].split(" | "))
    return InvalidInput(place.lstrip("."), reason)


def _joined(place: str, field: str) -> str:
    return f"{place}.{field}".strip(".")
