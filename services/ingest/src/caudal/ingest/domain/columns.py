"""What each column of a window holds: the time, whose reading it is, a variable, or nothing for us."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import is_id

MAX_COLUMNS = 500

NOT_THERE = -2
"""Index of a column that a table doesn't have."""
NO_COLUMN = "-"
"""Given as the name of a column: there is none, whatever the header looks like."""

INSTANT_NAMES = (
    "ts", "timestamp", "measured_at", "datetime", "date_time", "fecha_hora", "fecha_y_hora", "fechahora",
    "marca_de_tiempo",
)  # fmt: skip
LOOSE_TIME_NAMES = ("time", "fecha", "date")
"""Names that may hold an instant, or only a part of it if there is a column for the other."""
DATE_NAMES = ("fecha", "date", "dia", "day")
TIME_OF_DAY_NAMES = ("hora", "time", "hour")
DEVICE_NAMES = (
    "device", "device_id", "dispositivo", "id", "unit", "unit_id", "unidad", "serial", "serie", "sensor_id", "meter",
    "meter_id", "medidor", "equipo",
)  # fmt: skip
POINT_NAMES = (
    "point", "punto", "point_code", "codigo_punto", "punto_de_captacion", "codigo_obra", "codigo_de_obra", "cod_obra",
    "obra",
)  # fmt: skip
ROW_NAMES = ("id",)
"""Names that are a device's, unless a column says the point: then they number the rows of an older system's table."""
LOGGED_NAMES = ("logged_at",)

_SAY_WHOSE = "give option id_column, device or point (on the command line: --id-column, --device or --point)"


class Role(StrEnum):
    """What a column is for."""

    TIME = "time"
    TIME_OF_DAY = "time of day"
    DEVICE = "device"
    POINT = "point"
    LOGGED = "logged_at"
    VARIABLE = "variable"
    IGNORED = "ignored"


class Column(NamedTuple):
    """One column, understood."""

    header: str
    role: Role
    code: str = ""
    """Of a variable."""
    unit: str = ""
    """As the header has it in brackets; told, and not converted."""
    note: str = ""
    """Why it is ignored, or renamed."""


class Wishes(NamedTuple):
    """What somebody said about the columns."""

    time: str | None = None
    device: str | None = None
    """Header, or `-` for none."""
    codes: Mapping[str, str] = MappingProxyType({})
    """Header to variable code."""
    ignored: tuple[str, ...] = ()
    names: Literal["point", "device"] | None = None
    """What the column of the device names; None: by its header."""
    needs_device: bool = True
    """Whether readings are of the device that a column names; if not, one device was given for all."""


_unit = re.compile(r"\s*(?:\[([^\]]*)\]|\(([^)]*)\))\s*\Z")


def understand(headers: Sequence[str], wishes: Wishes, numeric: Collection[int]) -> list[Column]:
    """The columns of a table, in its order.

    Args:
        headers: As they stand in the file.
        wishes: What was said about them.
        numeric: Indexes of columns that hold mostly numbers, or nothing yet.

    Raises:
        InvalidInput: no column, or more than one thing, can be the time or the device; the error names the option.
    """
    if len(headers) > MAX_COLUMNS:
        raise InvalidInput("columns", f"there are {len(headers)}, more than {MAX_COLUMNS}")
    named = _unique(headers)
    for wished in (*wishes.codes, *wishes.ignored):
        _index_of(named, wished, "column")
    time, time_of_day = _time_columns(named, wishes.time)
    owner, owner_role = _owner_column(named, wishes)
    taken = {time: Role.TIME, time_of_day: Role.TIME_OF_DAY, owner: owner_role}
    columns: list[Column] = []
    for index, header in enumerate(named):
        if index in taken:
            columns.append(Column(header, taken[index]))
        elif header in wishes.ignored:
            columns.append(Column(header, Role.IGNORED, note="as asked"))
        elif owner_role is Role.POINT and folded(header) in ROW_NAMES and header not in wishes.codes:
            columns.append(Column(header, Role.IGNORED, note="numbers the rows"))
        elif folded(header) in LOGGED_NAMES and header not in wishes.codes:
            columns.append(Column(header, Role.LOGGED))
        elif index in numeric or header in wishes.codes:
            columns.append(_variable(header, wishes, {column.code for column in columns}))
        else:
            columns.append(Column(header, Role.IGNORED, note="mostly no numbers"))
    if not any(column.role is Role.VARIABLE for column in columns):
        raise InvalidInput("columns", f"none of {', '.join(map(repr, named))} holds numbers")
    return columns


def folded(header: str) -> str:
    """A header without unit, accents, case and signs: `Caudal medio [l/s]` is `caudal_medio`."""
    return _slug(_unit.sub("", header))


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60]


def _unique(headers: Iterable[str]) -> list[str]:
    """Headers with names for those that have none, and numbers for those that come again."""
    named: list[str] = []
    for number, header in enumerate(headers, 1):
        name = base = header.strip() or f"column_{number}"
        again = 1
        while name in named:
            again += 1
            name = f"{base}_{again}"
        named.append(name)
    return named


def _index_of(headers: Sequence[str], wished: str, option: str) -> int:
    if wished not in headers:
        raise InvalidInput(option, f"there is no column {wished!r} among {', '.join(map(repr, headers))}")
    return headers.index(wished)


def _first_named(headers: Sequence[str], names: Sequence[str]) -> int:
    """Index of the column that has the foremost of `names`; -1: none has any."""
    found = [(names.index(folded(header)), index) for index, header in enumerate(headers) if folded(header) in names]
    return min(found)[1] if found else -1


def _time_columns(headers: Sequence[str], wished: str | None) -> tuple[int, int]:
    """Indexes of the time and of the time of day."""
    if wished is not None:
        return _index_of(headers, wished, "time_column"), NOT_THERE
    time, date, time_of_day = (_first_named(headers, names) for names in (INSTANT_NAMES, DATE_NAMES, TIME_OF_DAY_NAMES))
    if time < 0 <= min(date, time_of_day):
        return date, time_of_day
    time = time if time >= 0 else _first_named(headers, LOOSE_TIME_NAMES)
    if time < 0:
        raise InvalidInput("time_column", f"say which of {', '.join(map(repr, headers))} is the time")
    return time, NOT_THERE


def _owner_column(headers: Sequence[str], wishes: Wishes) -> tuple[int, Role]:
    if wishes.device == NO_COLUMN:
        index = -1
    elif wishes.device is not None:
        index = _index_of(headers, wishes.device, "id_column")
    else:
        index, point = _first_named(headers, DEVICE_NAMES), _first_named(headers, POINT_NAMES)
        if index < 0 or (point >= 0 and folded(headers[index]) in ROW_NAMES):
            index = point
    if wishes.needs_device and index < 0:
        raise InvalidInput("device", f"no column says whose the rows are: {_SAY_WHOSE}")
    if not wishes.needs_device and index >= 0:
        raise InvalidInput(
            "device",
            f"a device was given, and column {headers[index]!r} names one too: give option id_column as "
            f"{NO_COLUMN!r} (on the command line: --id-column {NO_COLUMN}) if that column is something else",
        )
    is_point = index >= 0 and folded(headers[index]) in POINT_NAMES if wishes.names is None else wishes.names == "point"
    return index, Role.POINT if is_point else Role.DEVICE


def _variable(header: str, wishes: Wishes, taken: Collection[str]) -> Column:
    found = _unit.search(header)
    unit = (found[1] or found[2] or "") if found else ""
    if header in wishes.codes:
        return Column(header, Role.VARIABLE, wishes.codes[header], unit)
    code = header if is_id(header) else folded(header) or _slug(header) or "column"
    if code in taken:
        code = _slug(header)
    base, again = code, 1
    while code in taken:
        again += 1
        code = f"{base}_{again}"
    return Column(header, Role.VARIABLE, code, unit)
