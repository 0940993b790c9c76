"""A `Listing` as SQL: search, filters, order and page."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql_reads import Row, ask, ask_value
from caudal.gateway_api.domain.listing import Filter, Listing, ListShape, Match


def asked_for(query: sa.Select[Any], listing: Listing, shape: ListShape) -> sa.Select[Any]:
    """`query` with the listing's filters, search and order; ties in order of the list's key."""
    column = query.selected_columns
    query = query.where(*(condition(column[each.field], each) for each in listing.filters))
    if listing.search:
        query = query.where(_has(listing.search, shape, column))
    wanted = [_ordered(column[name.removeprefix("-")], name.startswith("-")) for name in listing.order]
    named = {name.removeprefix("-") for name in listing.order}
    return query.order_by(*wanted, *(column[name] for name in shape.key if name not in named))


def _has(text: str, shape: ListShape, column: sa.ColumnCollection[str, Any]) -> sa.ColumnElement[bool]:
    if shape.search_text is not None:
        found: sa.ColumnElement[bool] = column[shape.search_text].contains(text.lower(), autoescape=True)
        return found
    return sa.or_(*(column[name].icontains(text, autoescape=True) for name in shape.searched))


_CONDITIONS: Mapping[Match, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    Match.IS: operator.eq,
    Match.FROM: operator.ge,
    Match.TO: operator.lt,
}


def condition(column: sa.ColumnElement[Any], asked: Filter) -> sa.ColumnElement[bool]:
    """One filter about a column."""
    return _CONDITIONS[asked.match](column, asked.value)


def _ordered(column: sa.ColumnElement[Any], turned: bool) -> sa.UnaryExpression[Any]:
    ordered = column.desc() if turned else column.asc()
    # The databases disagree where nothing belongs.
    return ordered.nulls_last() if getattr(column, "nullable", True) else ordered


async def page_of(engine: AsyncEngine, query: sa.Select[Any], listing: Listing) -> tuple[Sequence[Row], int]:
    """The rows of the page asked for, and how many there are in all."""
    rows = await ask(engine, _cut(query, listing))
    if len(rows) < listing.page_size and (rows or listing.page == 1):
        # The last page: what comes before it is known.
        return rows, listing.offset + len(rows)
    count = query.with_only_columns(sa.func.count(), maintain_column_froms=True).order_by(None)
    return rows, int(await ask_value(engine, count))


def _cut(query: sa.Select[Any], listing: Listing) -> sa.Select[Any]:
    return query.limit(listing.page_size).offset(listing.offset)
