"""Statements of InfluxQL, the one query language that InfluxDB 1.x and 2.x share. Every name is quoted."""

from collections.abc import Sequence

from caudal.common.adapters.influx.line_protocol import MEASUREMENT, field_key

RETENTION_POLICY = "autogen"


def identifier(name: str) -> str:
    """`name` where a statement names something."""
    return '"' + _escaped(name).replace('"', r"\"") + '"'


def literal(text: str) -> str:
    """`text` where a statement has a value."""
    return "'" + _escaped(text).replace("'", r"\'") + "'"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def field(variable: str) -> str:
    """A variable's values that are numbers."""
    return f"{identifier(field_key(variable))}::float"


def source(bucket: str) -> str:
    """The measurement in a bucket."""
    return f"{identifier(bucket)}.{identifier(RETENTION_POLICY)}.{identifier(MEASUREMENT)}"


def of_point(point: str, start: int | None = None, end: int | None = None) -> str:
    """Condition: this point's rows in [start, end)."""
    parts = [f'"point"::tag = {literal(point)}']
    if start is not None:
        parts.append(f"time >= {start}u")
    if end is not None:
        parts.append(f"time < {end}u")
    return " AND ".join(parts)


def values(bucket: str, point: str, variables: Sequence[str], start: int, end: int, limit: int) -> str:
    """Each provider's first `limit` rows of [start, end) with any of `variables`."""
    columns = ", ".join(field(variable) for variable in variables)
    return (
        f"SELECT {columns} FROM {source(bucket)} WHERE {of_point(point, start, end)}"
        f' GROUP BY "provider" ORDER BY time LIMIT {limit}'
    )


def latest(bucket: str, point: str, variable: str, end: int) -> str:
    """Each provider's last value before `end`."""
    return (
        f"SELECT {field(variable)} FROM {source(bucket)} WHERE {of_point(point, end=end)}"
        f' GROUP BY "provider" ORDER BY time DESC LIMIT 1'
    )


def groups(
    bucket: str, point: str, variables: Sequence[str], start: int, end: int, every: int, function: str, limit: int
) -> str:
    """Each provider's first `limit` intervals of [start, end) that are not empty."""
    columns = ", ".join(f"{function}({field(variable)})" for variable in variables)
    return (
        f"SELECT {columns} FROM {source(bucket)} WHERE {of_point(point, start, end)}"
        f' GROUP BY time({every}u), "provider" fill(none) ORDER BY time LIMIT {limit}'
    )


def everything(bucket: str, point: str, start: int, end: int, limit: int) -> str:
    """Each provider's first `limit` rows of [start, end), with all their fields."""
    where = of_point(point, start, end)
    return f'SELECT *::field FROM {source(bucket)} WHERE {where} GROUP BY "provider" ORDER BY time LIMIT {limit}'


def counts(bucket: str, point: str) -> str:
    """How many values each field of a point has: one column `count_<field>` each."""
    return f"SELECT count(*::field) FROM {source(bucket)} WHERE {of_point(point)}"


def anything_older(bucket: str, age_s: int) -> str:
    """One row of any measurement that is older than so many seconds, if there is one."""
    where = f"{identifier(bucket)}.{identifier(RETENTION_POLICY)}./.*/"
    return f"SELECT * FROM {where} WHERE time < now() - {age_s}s LIMIT 1"


def delete(point: str, start: int, end: int) -> str:
    """Forget a point's rows of [start, end) in the database that the request names."""
    return (
        f'DELETE FROM {identifier(MEASUREMENT)} WHERE "point" = {literal(point)} AND time >= {start}u AND time < {end}u'
    )
