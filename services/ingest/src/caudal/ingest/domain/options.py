"""What somebody may say about a batch window."""

from typing import Literal

import msgspec

from caudal.common.domain.catalog import checked_zone
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import checked_id
from caudal.common.domain.payloads.zones import ClockChange
from caudal.ingest.domain.sniffing import checked_time_format

MISSING = ("na", "n/a", "nan", "null", "none", "nil", "-", "--", "#n/a")
"""What tables say for "not measured"."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says about a window; all of it may be left out where the file speaks for itself."""

    point: str | None = None
    """All rows are of the device of this point."""
    device: str | None = None
    """All rows are of this device."""
    client: str | None = None
    """Rows are taken for points of this client alone; None: for every device."""
    time_zone: str | None = None
    """Of times without one; None: that of the device's point, UTC where there is none."""
    clock_change: ClockChange = "reject"
    """How local times are read that exist twice or not at all."""
    delimiter: str | None = None
    """One character; None: looked for among , ; TAB |."""
    encoding: str | None = None
    """None: by the byte order mark, else UTF-8, and Latin-1 line by line where it is not."""
    decimal: Literal[".", ","] | None = None
    """`.` or `,`; None: by the first rows."""
    thousands: Literal["", ".", ",", " ", "'"] = ""
    """Thousands separator."""
    time_column: str | None = None
    """Header of the time."""
    time_format: str | None = None
    """A name of `times.FORMS` or a strptime pattern; None: by the first rows."""
    id_column: str | None = None
    """Header of the device (or point); `-`: there is none."""
    id_kind: Literal["point", "device"] | None = None
    """What that column names; None: by its header."""
    columns: dict[str, str] = {}
    """Header to variable code."""
    ignore: tuple[str, ...] = ()
    """Headers of columns to leave out."""
    missing: tuple[str, ...] = MISSING
    """Texts that mean "not measured"."""

    def __post_init__(self) -> None:
        if self.point is not None and self.device is not None:
            raise InvalidInput("device", "say a point or a device, not both")
        if self.time_zone is not None:
            checked_zone(self.time_zone, "time_zone")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in "\r\n\"'"):
            raise InvalidInput("delimiter", f"{self.delimiter!r} is not one character")
        if self.time_format is not None:
            checked_time_format(self.time_format)
        for header, code in self.columns.items():
            checked_id(code, f"columns.{header[:60]}")


def options_from(fields: object) -> Options:
    """Options from plain data.

    Raises:
        InvalidInput: a field cannot be used; the error names it.
    """
    try:
        return msgspec.convert(fields, Options)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, InvalidInput):
            raise InvalidInput(f"options.{cause.field}", cause.reason) from error
        reason, _, path = str(error).partition(" - at `$")
        raise InvalidInput(f"options{path.rstrip('`')}", reason) from error
