"""Points, variables and providers as rows, and rows as points."""

from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from caudal.common.adapters.sql_catalog import point_of
from caudal.common.adapters.sql_reads import Row
from caudal.common.domain.catalog import Point, Provider, Variable
from caudal.gateway_api.adapters.tables import points, providers, variables
from caudal.gateway_api.domain.listing import search_text
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.versions import Kept

T = TypeVar("T")

_bodies = (
    sa.select(variables.c.body)
    .where(variables.c.point == points.c.code)
    .order_by(variables.c.position, variables.c.code)
    .correlate(points)
    .subquery()
)
BODIES = sa.select(sa.func.aggregate_strings(_bodies.c.body, "\n")).scalar_subquery().label("bodies")
"""Of a point's variables, in their order, a line each: JSON as we write it has no line breaks."""
ONE_POINT = sa.select(points, BODIES).where(points.c.code == sa.bindparam("wanted"))
ONE_PROVIDER = sa.select(providers).where(providers.c.code == sa.bindparam("wanted"))


def whole(row: Row) -> Point:
    """A point from its row with the `BODIES` of its variables."""
    return point_of(row, row["bodies"].split("\n") if row["bodies"] else [])


def kept(entry: T, row: Row) -> Kept[T]:
    """`entry`, and when the row that it was read from was made and last changed."""
    return Kept(entry, row["created_at"], row["updated_at"])


def sees_provider(scope: Scope, client: str | None) -> bool:
    """Whether a provider of `client` is found; everybody sees what is shared."""
    return client is None or scope.sees(client)


def point_row(point: Point) -> dict[str, Any]:
    """A point without its variables and its earlier versions."""
    return {
        "code": point.code,
        "device": point.device,
        "client": point.client,
        "provider": point.provider,
        "type": point.type.value,
        "status": point.status.value,
        "name": point.name,
        "search_text": search_text(point.code, point.name, point.device),
        "latitude": point.latitude,
        "longitude": point.longitude,
        "altitude_m": point.altitude_m,
        "time_zone": point.time_zone,
        "sampling_minutes": point.sampling_minutes,
        "mapping": json_text(point.mapping),
        "max_rows": point.max_rows,
        "rules": json_text(point.rules),
        "source": json_text(point.source),
    }


def variable_row(point: str, position: int, variable: Variable) -> dict[str, Any]:
    """The `position`-th variable of a point."""
    return {
        "point": point,
        "code": variable.code,
        "position": position,
        "type": variable.type.value,
        "name": variable.name,
        "search_text": search_text(variable.code, variable.name, point),
        "body": json_text(variable),
    }


def provider_row(provider: Provider) -> dict[str, Any]:
    """A provider."""
    return {
        "code": provider.code,
        "client": provider.client,
        "name": provider.name,
        "type": provider.type.value,
        "api": provider.api,
        "connection": json_text(provider.connection),
        "authentication": json_text(provider.authentication),
        "mapping": json_text(provider.mapping),
        "time_zone": provider.time_zone,
        "active": provider.active,
        "testing": provider.testing,
    }


def json_text(value: object) -> str | None:
    """`value` as JSON; nothing stays nothing."""
    return None if value is None else msgspec.json.encode(value).decode()
