"""Where a page of a long list ends, as opaque text that can be sent back to get the next."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.intervals import LATEST

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last entry of a page: its instant, and its id where several share one."""

    at: datetime
    id: str = ""

    def text(self) -> str:
        """What the caller sends back."""
        plain = f"1:{(self.at - _EPOCH) // _MICROSECOND}:{self.id}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def cursor_of(text: str) -> Cursor:
    """The cursor that `text` was made from.

    Raises:
        InvalidInput: it was not made here.
    """
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        version, micros, entry = plain.split(":", 2)
        at = _EPOCH + int(micros) * _MICROSECOND
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidInput("cursor", "is not one that this list gave") from error
    if version != "1" or not micros.isascii() or not _EPOCH <= at <= LATEST or "\x00" in entry or len(entry) > 200:
        raise InvalidInput("cursor", "is not one that this list gave")
    return Cursor(at, entry)
