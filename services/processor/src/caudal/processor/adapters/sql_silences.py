"""`SqlSilences`: who is silent, in SQL; what is told of it is committed with it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql import reading, transaction
from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import PointStatus, Rules
from caudal.processor.adapters.rows import outbox_body
from caudal.processor.adapters.tables import HEADS, OUTBOX, ROWS, SILENCES
from caudal.processor.domain.silence import Silence, Watched, alert_of
from caudal.processor.ports import Entry, Sink

LOOKED_THROUGH = ((0, 10), (10, 190))
"""Rows of a point that are looked through for variables that the last one does not have: few first, then more."""
ASKED_AT_ONCE = 1000
"""Points in one question."""
TOLD_AT_ONCE = 100
"""Silences in one transaction."""
JUDGED = (PointStatus.ACTIVE.value, PointStatus.ERROR.value)
"""Points in any other state are expected to be silent."""

_points = sa.table("catalog_points", *(sa.column(n) for n in ("code", "device", "status", "sampling_minutes", "rules")))
_variables = sa.table("catalog_variables", sa.column("point"), sa.column("code"))
_processed = msgspec.json.Decoder(dict[str, ProcessedValue])
_rules = msgspec.json.Decoder(Rules)


class SqlSilences:
    """See `ports.Silences`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def watched(self) -> list[Watched]:
        """Points that are expected to speak and have spoken."""
        async with reading(self._engine) as connection:
            if (await connection.execute(_any_head)).first() is None:
                return []
            codes: dict[str, set[str]] = defaultdict(set)
            for point, code in await connection.execute(sa.select(_variables.c.point, _variables.c.code)):
                codes[point].add(code)
            rows = (await connection.execute(_judged)).mappings()
            return [_watched(row, codes[row["code"]]) for row in rows]

    async def standing(self) -> list[Silence]:
        """Silences that began and have not ended."""
        async with reading(self._engine) as connection:
            rows = (await connection.execute(sa.select(SILENCES))).mappings()
            return [Silence(row["point"], row["variable"], row["since"], row["device"]) for row in rows]

    async def spoken(self, points: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Which variables have a value in the last row of these points."""
        found: dict[str, Sequence[str]] = {}
        async with reading(self._engine) as connection:
            for i in range(0, len(points), ASKED_AT_ONCE):
                asked = _last_rows.where(HEADS.c.point.in_(points[i : i + ASKED_AT_ONCE]))
                found |= {point: _with_values(text) for point, text in await connection.execute(asked)}
        return found

    async def heard(self, point: str, wanted: Collection[str], until: datetime) -> Mapping[str, datetime]:
        """When the last values of these variables were measured by then, as far as the last rows up to it tell."""
        newest = sa.select(ROWS.c.measured_at, ROWS.c.processed_json).order_by(ROWS.c.measured_at.desc())
        newest = newest.where(ROWS.c.point == point, ROWS.c.measured_at <= until)
        found: dict[str, datetime] = {}
        async with reading(self._engine) as connection:
            for offset, limit in LOOKED_THROUGH:
                for at, text in await connection.execute(newest.offset(offset).limit(limit)):
                    for code in _with_values(text):
                        found.setdefault(code, at)
                if found.keys() >= set(wanted):
                    break
        return found

    async def begin(self, silences: Sequence[Silence]) -> int:
        """Keep silences and tell of each that no other replica has kept; how many."""
        return await self._each(silences, lambda silence: (_BEGIN, _columns(silence)), None)

    async def end(self, silences: Sequence[Silence], now: datetime) -> int:
        """Forget silences and tell of each that no other replica has ended; how many."""
        return await self._each(silences, lambda silence: (_END, {"of": silence.point, "what": silence.variable}), now)

    async def _each(
        self,
        silences: Sequence[Silence],
        change: Callable[[Silence], tuple[sa.Insert | sa.Delete, Mapping[str, Any]]],
        ended_at: datetime | None,
    ) -> int:
        """Make a change for each, and tell of those that it was made for; how many."""
        count = 0
        for i in range(0, len(silences), TOLD_AT_ONCE):
            async with transaction(self._engine) as connection:
                some = silences[i : i + TOLD_AT_ONCE]
                told = [each for each in some if (await connection.execute(*change(each))).rowcount]
                if told:
                    body = outbox_body([Entry(messages=[alert_of(each, ended_at)]) for each in told])
                    await connection.execute(sa.insert(OUTBOX).values(sink=Sink.BUS.value, body=body))
            count += len(told)
        return count


_any_head = sa.select(HEADS.c.point).where(HEADS.c.measured_at.is_not(None)).limit(1)
_judged = (
    sa.select(_points, HEADS.c.measured_at)
    .join_from(_points, HEADS, HEADS.c.point == _points.c.code)
    .where(HEADS.c.measured_at.is_not(None), _points.c.status.in_(JUDGED))
)
_last_rows = sa.select(ROWS.c.point, ROWS.c.processed_json).join_from(
    HEADS, ROWS, sa.and_(ROWS.c.point == HEADS.c.point, ROWS.c.measured_at == HEADS.c.measured_at)
)
_given = {name: sa.bindparam(name, type_=SILENCES.c[name].type) for name in ("point", "variable", "since", "device")}
_BEGIN = sa.insert(SILENCES).from_select(
    list(_given),
    sa.select(*_given.values()).where(
        ~sa.exists().where(SILENCES.c.point == _given["point"], SILENCES.c.variable == _given["variable"])
    ),
)
_END = sa.delete(SILENCES).where(SILENCES.c.point == sa.bindparam("of"), SILENCES.c.variable == sa.bindparam("what"))


_ALWAYS = 1000 * 365 * 24 * 60.0
"""Minutes: what is expected once in more than a thousand years is never late, and dates go no further back."""


def _columns(silence: Silence) -> dict[str, Any]:
    return {"point": silence.point, "variable": silence.variable, "since": silence.since, "device": silence.device}


def _watched(row: Mapping[Any, Any], variables: set[str]) -> Watched:
    minutes = row["sampling_minutes"] * _rules.decode(row["rules"]).gap_factor
    return Watched(
        point=row["code"],
        device=row["device"],
        heard_at=row["measured_at"],
        due=timedelta(minutes=min(minutes, _ALWAYS)),
        variables=frozenset(variables),
    )


def _with_values(processed: str) -> list[str]:
    return [code for code, value in _processed.decode(processed).items() if value.value is not None]
