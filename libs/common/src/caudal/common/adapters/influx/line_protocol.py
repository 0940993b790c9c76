"""Rows in line protocol: measurement `telemetry`, tags `point` and `provider`, a float field per variable."""

from collections.abc import Iterable
from functools import lru_cache

from caudal.common.domain.series import micros
from caudal.common.ports import SeriesRow

MEASUREMENT = "telemetry"

_TAKEN = frozenset({"time", "point", "provider"})
"""Names that mean something else in InfluxQL; a variable so called gets a mark that no id can have."""
_MARK = "~"
_ESCAPED = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\n"})


def field_key(variable: str) -> str:
    """The field in which a variable is stored."""
    return variable + _MARK if variable in _TAKEN else variable


def variable_of(key: str) -> str:
    """The inverse of `field_key`."""
    return key.removesuffix(_MARK)


@lru_cache(maxsize=65_536)
def _series(point: str, provider: str) -> str:
    tag = f",provider={provider.translate(_ESCAPED)}" if provider else ""
    return f"{MEASUREMENT},point={point.translate(_ESCAPED)}{tag}"


@lru_cache(maxsize=65_536)
def _field(variable: str) -> str:
    return field_key(variable).translate(_ESCAPED)


def line(row: SeriesRow) -> str:
    """One row that has at least one field; every number a float, the time in microseconds."""
    fields = ",".join([f"{_field(variable)}={float(value)!r}" for variable, value in row.fields.items()])
    return f"{_series(row.point, row.provider)} {fields} {micros(row.at)}"


def body(rows: Iterable[SeriesRow]) -> bytes:
    """Rows as they are posted; those without a field have no line."""
    return "\n".join([line(row) for row in rows if row.fields]).encode()
