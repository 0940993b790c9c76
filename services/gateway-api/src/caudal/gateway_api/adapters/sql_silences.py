"""Who has fallen silent, as the processor says, beside what the catalog has of points."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql_reads import ask
from caudal.common.domain.catalog import PointStatus
from caudal.gateway_api.adapters.ledger_views import ledger_silences
from caudal.gateway_api.adapters.tables import points
from caudal.gateway_api.domain.silence import JUDGED, WHOLE, Silence

_of_point = ledger_silences.c.point == points.c.code
_is_judged = sa.or_(*(points.c.status == status.value for status in JUDGED))
_is_silent = sa.exists().where(_of_point, ledger_silences.c.variable == WHOLE)
_has_stale = sa.exists().where(_of_point, ledger_silences.c.variable != WHOLE)

STATUS: sa.ColumnElement[str] = sa.case(
    (sa.and_(_is_judged, _is_silent), PointStatus.OFFLINE.value), else_=points.c.status
).label("status")
"""A point's status, with its silence."""
HAS_SILENCES: sa.ColumnElement[bool] = sa.exists().where(_of_point).label("has_silences")
"""Whether anything is silent there."""
STALE: sa.ColumnElement[bool] = sa.and_(_is_judged, _has_stale).label("stale")
"""Whether one of its variables is silent by itself."""


async def silences_among(engine: AsyncEngine, codes: Sequence[str]) -> dict[str, list[Silence]]:
    """What is silent at these points, by point, in order of variable."""
    query = sa.select(ledger_silences).where(ledger_silences.c.point.in_(codes)).order_by(ledger_silences.c.variable)
    found: dict[str, list[Silence]] = {}
    for row in await ask(engine, query):
        found.setdefault(row["point"], []).append(Silence(variable=row["variable"], since=row["since"]))
    return found
