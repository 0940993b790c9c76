"""Owners and notification preferences that go with the user or the point that they tie together."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import fields as fields_of
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.gateway_api.adapters.tables import notification_preferences, owners, points, users
from caudal.gateway_api.domain.records import OWNERS, PREFERENCES, Kind
from caudal.gateway_api.domain.tenancy import Tie


@dataclass(frozen=True, slots=True)
class _Place:
    """Where ties of a kind are kept."""

    kind: Kind[Any]
    table: sa.Table
    json: tuple[str, ...]
    """Columns that are JSON text."""
    whose: sa.Table
    """What says of which client it is."""
    joined: sa.ColumnElement[bool]


_PLACES = (
    _Place(OWNERS, owners, ("permissions",), points, owners.c.point == points.c.code),
    _Place(
        PREFERENCES,
        notification_preferences,
        ("types", "channels"),
        users,
        notification_preferences.c.user == users.c.id,
    ),
)


async def untie(connection: AsyncConnection, which: Callable[[sa.Table], sa.ColumnElement[bool]]) -> list[Tie]:
    """Remove the ties that meet the condition; what was removed."""
    found: list[Tie] = []
    for place in _PLACES:
        columns = [place.table.c[field.name] for field in fields_of(place.kind.type)]
        query = sa.select(*columns, place.whose.c.client.label("whose")).join_from(
            place.table, place.whose, place.joined
        )
        rows = (await connection.execute(query.where(which(place.table)))).mappings()
        found += [_tie_of(place, row) for row in rows]
        await connection.execute(sa.delete(place.table).where(which(place.table)))
    return found


def _tie_of(place: _Place, row: sa.RowMapping) -> Tie:
    plain = {field.name: row[field.name] for field in fields_of(place.kind.type)}
    lists = {name: msgspec.json.decode(row[name]) for name in place.json}
    what = msgspec.convert(plain | lists, place.kind.type, strict=False)
    return Tie(kind=place.kind.name, what=what, client=row["whose"])
