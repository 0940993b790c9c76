"""Points and variables of which nothing has come for too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from caudal.common.domain.catalog import Point, PointStatus
from caudal.gateway_api.domain.versions import Kept

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

    kept: Kept[Point]
    silences: Sequence[Silence]

    @property
    def point(self) -> Point:
        """The point."""
        return self.kept.entry
