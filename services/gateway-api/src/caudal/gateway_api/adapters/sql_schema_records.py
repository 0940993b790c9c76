"""Records of dynamic schemas, read through the view that the processor publishes."""

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql_reads import Row
from caudal.gateway_api.adapters.ledger_views import RECORD_CLIENT, schema_records
from caudal.gateway_api.adapters.sql_listing import SqlList
from caudal.gateway_api.adapters.sql_scope import SCOPES
from caudal.gateway_api.adapters.tables import points
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.records import RECORDS, GroupRecord

_JSON = ("values", "flags", "reasons")


class SqlSchemaRecords:
    """See `ports.SchemaRecords`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, schema: str, scope: Scope, listing: Listing) -> Page[GroupRecord]:
        """A page of a schema's records, the newest first unless the listing says otherwise."""
        rows, total = await _RECORDS.page(self._engine, scope, listing, of_schema=schema)
        items = [_record_of(row) for row in rows]
        return Page(items=items, total=total, page=listing.page, page_size=listing.page_size)


def _records(scope: Scope) -> sa.Select[Any]:
    """Records of a schema, each with the client whose it is now."""
    columns = (column for column in schema_records.c if column.name != "client")
    joined = schema_records.outerjoin(points, points.c.code == schema_records.c.point)
    mine = sa.and_(schema_records.c.schema == sa.bindparam("of_schema"), SCOPES["record"](scope))
    return sa.select(*columns, RECORD_CLIENT.label("client")).select_from(joined).where(mine)


_RECORDS = SqlList(_records, RECORDS, (schema_records.c.starts_at.desc(), schema_records.c.group))


def _record_of(row: Row) -> GroupRecord:
    plain = {name: value for name, value in row.items() if not name.endswith("_json")}
    return GroupRecord(**plain, **{name: msgspec.json.decode(row[f"{name}_json"]) for name in _JSON})
