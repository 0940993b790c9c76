"""Names that may become part of a topic, a file name or a tag. Distinct types, one alphabet."""

import hashlib
import re
from typing import NewType

from caudal.common.domain.errors import InvalidInput

DeviceId = NewType("DeviceId", str)
PointCode = NewType("PointCode", str)
VariableCode = NewType("VariableCode", str)
ProviderCode = NewType("ProviderCode", str)
ClientId = NewType("ClientId", str)
WindowId = NewType("WindowId", str)

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""The whole alphabet: nothing with a wildcard, slash, space or NUL ever becomes part of a topic."""

_id = re.compile(ID_PATTERN.replace("$", r"\Z"))
_not_in_alphabet = re.compile(r"[^A-Za-z0-9_-]+")


def is_id(text: object) -> bool:
    """Whether `text` can stand in a topic as it is."""
    return isinstance(text, str) and _id.match(text) is not None


def checked_id(text: object, field: str) -> str:
    """`text`, if it is an id.

    Raises:
        InvalidInput: it is not; the error names `field`.
    """
    if not is_id(text):
        raise InvalidInput(field, f"{str(text)[:80]!r} is not 1 to 64 of A-Z a-z 0-9 _ -")
    return str(text)


def id_from_name(name: str) -> str:
    """An id for a foreign name: itself if it is one, else its readable part and a digest that keeps names apart.

    `"patio/temp 1"` and `"patio temp/1"` get different ids, and the same ones for ever.
    """
    if is_id(name):
        return name
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{_not_in_alphabet.sub('_', name).strip('_')[:55]}-{digest}".lstrip("-")
