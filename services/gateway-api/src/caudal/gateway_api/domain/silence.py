"""Points and variables of which nothing has come for too long."""

from dataclasses import dataclass
from datetime import datetime

from caudal.common.domain.catalog import PointStatus

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
