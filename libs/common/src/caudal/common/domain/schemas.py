"""Dynamic schemas: which variables make a record, for which period and group, what is calculated and what must hold.

Written by gateway-api alone; the processor computes records by them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from caudal.common.domain.catalog import checked_zone
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.expressions import RESERVED, expression_of
from caudal.common.domain.ids import checked_id

_documented: dict[str, Any] = {"use_attribute_docstrings": True, "extra": "forbid"}
_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")

MAX_FIELDS = 50
MAX_RULES = 50
MAX_POINTS = 200
"""Points that a schema names; one that names none takes all."""
MAX_TEXT = 200
"""Characters of a name, a unit or a message."""


class SchemaKind(StrEnum):
    """What records are for; all are computed in the same way."""

    MEASUREMENT = "MEASUREMENT"
    DASHBOARD = "DASHBOARD"
    REPORT = "REPORT"
    ALERT = "ALERT"
    COMPLIANCE = "COMPLIANCE"
    CUSTOM = "CUSTOM"


class RecordPeriod(StrEnum):
    """How long a record is: an hour, day or month of the clock of the schema's zone."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class GroupBy(StrEnum):
    """Whose readings make one record."""

    POINT = "point"
    CLIENT = "client"
    """All points of a client together; those of no client are a group of their own."""


class Aggregate(StrEnum):
    """What is made of a variable's values in a period."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    LAST = "last"
    INCREASE = "increase"
    """Last value of the period less the last before it (at most a month before; else the period's first): the volume,
    for a totalizer. Of several points the sum."""
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One value of a record: made of a variable, or calculated from the fields before it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    code: str
    """Its name in records and expressions: letters, digits and `_`; unique in its schema."""
    variable: str | None = None
    """Code of the variable that it is made of; null: it is calculated."""
    aggregate: Aggregate = Aggregate.MEAN
    """What is made of the variable's values."""
    expression: str | None = None
    """What it is calculated from, such as `volume / area * 1000`; null: it is made of a variable."""
    name: str = ""
    """For people."""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRule:
    """What must hold in every record; one in which it does not is flagged with the rule's code."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _documented

    code: str
    """Unique in its schema."""
    expression: str
    """What must hold, such as `volume <= 500`; of something missing nothing is said."""
    message: str = ""
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A dynamic schema."""

    code: str
    client: str | None = None
    """Whose it is; None: everybody sees it, and each their own points' records."""
    name: str = ""
    kind: SchemaKind = SchemaKind.CUSTOM
    active: bool = True
    """Whether there are records."""
    period: RecordPeriod = RecordPeriod.DAY
    time_zone: str = "UTC"
    """Whose hours, days and months."""
    group_by: GroupBy = GroupBy.POINT
    points: tuple[str, ...] = ()
    """Whose readings count; empty: those of all points of its client, or of all."""
    fields: tuple[SchemaField, ...]
    rules: tuple[SchemaRule, ...] = ()
    display: dict[str, Any] = field(default_factory=dict)
    """How records are to be shown; kept as it is."""
    created_at: datetime
    updated_at: datetime

    @property
    def variables(self) -> frozenset[str]:
        """Codes of all variables that records are made of."""
        return frozenset(each.variable for each in self.fields if each.variable is not None)

    def takes(self, point: str, client: str | None) -> bool:
        """Whether readings of a point, which is `client`'s, count."""
        return (self.client is None or self.client == client) and (not self.points or point in self.points)


def checked_schema(schema: Schema) -> Schema:
    """`schema`, if records can be computed by it.

    Raises:
        InvalidInput: they cannot; the error names the field.
    """
    checked_id(schema.code, "code")
    _check_text(schema.name, "name")
    checked_zone(schema.time_zone, "time_zone")
    _check_count(schema.points, "points", 0, MAX_POINTS)
    for place, point in enumerate(schema.points):
        checked_id(point, f"points.{place}")
    _check_once(schema.points, "points")
    _check_count(schema.fields, "fields", 1, MAX_FIELDS)
    _check_count(schema.rules, "rules", 0, MAX_RULES)
    for place, each in enumerate(schema.fields):
        _check_field(each, [before.code for before in schema.fields[:place]], f"fields.{place}")
    for place, rule in enumerate(schema.rules):
        _check_rule(rule, [each.code for each in schema.fields], f"rules.{place}")
    _check_once([rule.code for rule in schema.rules], "rules")
    return schema


def _check_field(each: SchemaField, before: Sequence[str], where: str) -> None:
    if not _name.match(each.code) or each.code in RESERVED:
        raise InvalidInput(f"{where}.code", f"{each.code[:80]!r} is no name: a letter, then letters, digits and _")
    if each.code in before:
        raise InvalidInput(f"{where}.code", f"{each.code!r} is there twice")
    _check_text(each.name, f"{where}.name")
    _check_text(each.unit, f"{where}.unit")
    if (each.variable is None) == (each.expression is None):
        raise InvalidInput(f"{where}.expression", "a field has either a variable or an expression")
    if each.variable is not None:
        checked_id(each.variable, f"{where}.variable")
    if each.expression is not None:
        expression_of(each.expression, before, is_truth=False, field=f"{where}.expression")


def _check_rule(rule: SchemaRule, names: Sequence[str], where: str) -> None:
    checked_id(rule.code, f"{where}.code")
    _check_text(rule.message, f"{where}.message")
    expression_of(rule.expression, names, is_truth=True, field=f"{where}.expression")


def _check_text(text: str, where: str) -> None:
    if len(text) > MAX_TEXT:
        raise InvalidInput(where, f"has {len(text)} characters; at most {MAX_TEXT}")


def _check_count(items: Sequence[object], where: str, least: int, most: int) -> None:
    if not least <= len(items) <= most:
        raise InvalidInput(where, f"has {len(items)}; {least} to {most} are possible")


def _check_once(codes: Sequence[str], where: str) -> None:
    for place, code in enumerate(codes):
        if code in codes[:place]:
            raise InvalidInput(f"{where}.{place}", f"{code!r} is there twice")
