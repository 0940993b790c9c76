"""Points and variables of which nothing has come for too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from caudal.common.domain.catalog import Point, PointStatus

WHOLE = ""
"""In the place of a variable: the point as a whole."""
JUDGED = (PointStatus.ACTIVE, PointStatus.ERROR)
"""Points in any other state are expected to be silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nothing has come since."""

    variable: str
    since: datetime
    """When its last value was measured."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A point, and what is silent there."""

    point: Point
    silences: Sequence[Silence]
