"""A `Listing` as SQL: search, filters, order and page."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from caudal.gateway_api.domain.listing import Listing


def asked_for(
    query: sa.Select[Any],
    listing: Listing,
    table: sa.Table,
    searched: Sequence[sa.Column[Any]],
    default_order: sa.Column[Any],
) -> sa.Select[Any]:
    """`query` with the listing's filters, search and order; ties in order of the default."""
    query = query.where(*(table.c[name] == value for name, value in listing.filters.items()))
    if listing.search:
        query = query.where(sa.or_(*(column.icontains(listing.search, autoescape=True) for column in searched)))
    wanted = [_ordered(table.c[name.removeprefix("-")], name.startswith("-")) for name in listing.order]
    return query.order_by(*wanted, default_order)


def _ordered(column: sa.Column[Any], turned: bool) -> sa.UnaryExpression[Any]:
    return column.desc() if turned else column.asc()


async def page_of(
    connection: AsyncConnection, query: sa.Select[Any], listing: Listing
) -> tuple[Sequence[Mapping[str, Any]], int]:
    """The rows of the page asked for, and how many there are in all."""
    count = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
    total = int((await connection.execute(count)).scalar_one())
    if listing.offset >= total:
        return [], total
    rows = await connection.execute(query.limit(listing.page_size).offset(listing.offset))
    return [dict(row) for row in rows.mappings()], total
