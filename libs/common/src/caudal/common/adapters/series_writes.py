"""What every telemetry store checks and settles before it writes."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from caudal.common.domain.ids import is_id
from caudal.common.domain.series import END_OF_TIME, FIRST_INSTANT
from caudal.common.ports import RowRefused, SeriesRow, WriteReport

_is_id = lru_cache(maxsize=65_536)(is_id)


class Refusals:
    """The rows of one batch that cannot be stored."""

    def __init__(self) -> None:
        self._first: tuple[SeriesRow, str] | None = None
        self.count = 0

    def add(self, row: SeriesRow, reason: str) -> None:
        """Remember that `row` was refused."""
        self._first = self._first or (row, reason)
        self.count += 1

    def settle(self, report: WriteReport) -> WriteReport:
        """`report`, if nothing was refused.

        Raises:
            RowRefused: something was.
        """
        if self._first:
            raise RowRefused(*self._first, refused=self.count, report=report)
        return report


def admitted(rows: Iterable[SeriesRow], refusals: Refusals) -> list[SeriesRow]:
    """The rows that any store can take; the others are added to `refusals`."""
    good = []
    for row in rows:
        reason = _reason_against(row)
        if reason:
            refusals.add(row, reason)
        else:
            good.append(row)
    return good


def _reason_against(row: SeriesRow) -> str | None:
    if not _is_id(row.point):
        return "the point's code is no id"
    if row.provider and not _is_id(row.provider):
        return f"the provider's code {row.provider[:80]!r} is no id"
    if row.at.tzinfo is None:
        return "the time has no zone"
    if not FIRST_INSTANT <= row.at < END_OF_TIME:
        return "no store holds a time before 1678 or after 2261"
    for variable in row.erased:
        if not _is_id(variable):
            return f"the variable's code {variable[:80]!r} is no id"
    for variable, value in row.fields.items():
        if not _is_id(variable):
            return f"the variable's code {variable[:80]!r} is no id"
        if not (type(value) is float and math.isfinite(value)) and not _is_number(value):
            return f"{variable} is no finite number"
    return None


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


class Erasure:
    """What has to go at one instant of a point before anything is written there."""

    def __init__(self, point: str, at: datetime) -> None:
        self.point = point
        self.at = at
        self.variables: set[str] = set()
        self.fields: dict[str, dict[str, float]] = {}
        """By provider, what the batch leaves there."""

    def apply(self, row: SeriesRow) -> None:
        """Take in one row of this instant, after those before it."""
        self.variables.update(row.erased)
        for fields in self.fields.values():
            for variable in row.erased:
                fields.pop(variable, None)
        self.fields.setdefault(row.provider, {}).update(row.fields)


def settled(rows: Sequence[SeriesRow]) -> tuple[list[Erasure], list[SeriesRow]]:
    """`rows` such that all that erases can be done first and all that writes after it, with the same result."""
    erasing = {(row.point, row.at) for row in rows if row.erased}
    if not erasing:
        return [], list(rows)
    erasures = {key: Erasure(*key) for key in erasing}
    plain = []
    for row in rows:
        erasure = erasures.get((row.point, row.at))
        if erasure:
            erasure.apply(row)
        else:
            plain.append(row)
    left = [
        SeriesRow(erasure.point, erasure.at, fields, provider)
        for erasure in erasures.values()
        for provider, fields in erasure.fields.items()
    ]
    return list(erasures.values()), plain + left
