"""Why something could not be read: a reason for people, a field for machines, a class for counters."""

from datetime import datetime
from enum import StrEnum

from caudal.common.domain.errors import InvalidInput

MAX_REASON = 300
"""Characters of a reason; what comes from outside is quoted in it, so it has to end somewhere."""


class Refusal(StrEnum):
    """Classes of reasons, few enough to be counted one by one."""

    UNDECODABLE = "undecodable"
    """Neither JSON nor MessagePack, or a row that is no row."""
    SHAPE = "shape"
    """Readable, but no reading, or no time, where the mapping looks for one."""
    TIME = "time"
    """A time that cannot be read, or cannot be."""
    VALUES = "values"
    """No variable with a usable number."""
    DEVICE = "device"
    """Nobody can tell whose reading it is, or it is not the sender's to give."""
    MAPPING = "mapping"
    """The mapping itself, or the provider it belongs to, cannot be used."""


class Unreadable(InvalidInput):
    """One reading, or a whole payload, that cannot be used."""

    def __init__(self, kind: Refusal, field: str, reason: str) -> None:
        super().__init__(printable(field)[:MAX_REASON], printable(reason)[:MAX_REASON])
        self.kind = kind

    def under(self, parent: str) -> "Unreadable":
        """Itself, with the field seen from further outside."""
        self.field = f"{parent}.{self.field}"[:MAX_REASON] if self.field else printable(parent)
        self.args = (f"{self.field}: {self.reason}",)
        return self

    def kept(self) -> "Unreadable":
        """Itself without the frames that it came through: thousands of them would hold on to their payload."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


_shown_by_name: dict[type, str] = {dict: "an object", list: "a list", bytes: "binary data"}


def quoted(value: object, most: int = 60) -> str:
    """`value` as it may be shown in a reason: short, printable, without NUL or half characters."""
    if isinstance(value, str):
        return repr(value) if len(value) <= most else f"{value[:most]!r}…"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float | datetime):
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "an integer beyond 64 bits"
    return _shown_by_name.get(type(value), f"a {type(value).__name__}")


def printable(text: str) -> str:
    """`text` with everything that cannot be stored or shown escaped."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
