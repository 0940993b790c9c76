"""How the columns of an older system's table are to be taken: data, written once, for whoever reads the table."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from caudal.common.domain.errors import InvalidInput

TIME = "measured_at"
"""Field of history that is the time of a reading."""
_IDS = ("point", "device")
_CONSTANTS = (*_IDS, "time_zone", "clock_change", "time_format", "thousands")


class ImportMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each field is taken from; what is left out is guessed by the headers."""

    columns: dict[str, str] = {}
    """Field to header, such as `{"code": "codigo_obra", "limits.max": "maximo"}`."""
    constants: dict[str, Any] = {}
    """Field to what it is in every row, such as `{"client": "acme"}`; a cell of the row goes before it."""
    values: dict[str, dict[str, Any]] = {}
    """Field to words and what they mean, such as `{"type": {"POZO": "WELL"}}`."""
    ignore: tuple[str, ...] = ()
    """Headers to leave out."""
    decimal: Literal[".", ","] | None = None
    """Decimal separator; None: by the cells."""
    delimiter: str | None = None
    """Of a CSV file, one character; None: looked for."""
    encoding: str | None = None
    """Of a CSV file; None: by its byte order mark, else UTF-8, and Latin-1 where it is not."""

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in "\r\n\"'"):
            raise InvalidInput("delimiter", f"{self.delimiter[:20]!r} is not one character")


def map_from(plain: object) -> ImportMap:
    """A mapping from plain data.

    Raises:
        InvalidInput: it is none; the error names the field.
    """
    try:
        return msgspec.convert(plain, ImportMap)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, InvalidInput):
            raise InvalidInput(f"map.{cause.field}", cause.reason) from error
        reason, _, path = str(error).partition(" - at `$")
        raise InvalidInput(f"map{path.rstrip('`')}", reason) from error


def history_options(said: ImportMap) -> dict[str, Any]:
    """The same, as options of a batch window: history is read as any window is.

    Raises:
        InvalidInput: it says what windows do not know.
    """
    if said.values:
        raise InvalidInput("map.values", "history has numbers, which are taken as they are")
    unknown = said.constants.keys() - set(_CONSTANTS)
    if unknown:
        raise InvalidInput(f"map.constants.{min(unknown)[:60]}", f"of history it is one of {', '.join(_CONSTANTS)}")
    plain = ("decimal", "delimiter", "encoding", "ignore")
    options = {name: getattr(said, name) for name in plain if getattr(said, name)}
    return options | dict(said.constants) | _columns(said.columns)


def _columns(columns: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    ids = [name for name in _IDS if name in columns]
    if len(ids) > 1:
        raise InvalidInput("map.columns.device", "say a column of points or one of devices, not both")
    if ids:
        # Said outright: by its header alone `estacion` would be taken for a device that nobody claims.
        found |= {"id_column": columns[ids[0]], "id_kind": ids[0]}
    if TIME in columns:
        found["time_column"] = columns[TIME]
    measured = {header: field for field, header in columns.items() if field not in (*_IDS, TIME)}
    return found | ({"columns": measured} if measured else {})
