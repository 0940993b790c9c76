"""A `Listing` as SQL: search, filters, order and page."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql_reads import Row, ask, ask_value
from caudal.gateway_api.adapters.sql_scope import scope_of_parameters, scope_parameters
from caudal.gateway_api.domain.listing import Filter, Listing, ListShape, Match
from caudal.gateway_api.domain.permissions import Scope

MAX_FORMS = 200
"""How many statements a list keeps; whoever asks chooses filters and orders."""
ESCAPE = "/"

Order = Sequence[sa.ColumnElement[Any]]


class SqlList:
    """A list, asked page by page.

    Its statements are built once for each form of a listing (which filters, which order) and given the values: to
    build and to recognise one takes several times as long as to have it answered.
    """

    def __init__(
        self, entries: Callable[[Scope], sa.Select[Any]], shape: ListShape, order: Order | None = None
    ) -> None:
        """`entries` selects all that a scope sees; `order` is that of a listing that says none, if it isn't its key."""
        self._entries = entries
        self._shape = shape
        self._order = order
        self._forms: dict[object, tuple[sa.Select[Any], sa.Select[Any]]] = {}

    async def page(
        self, engine: AsyncEngine, scope: Scope, listing: Listing, **values: object
    ) -> tuple[Sequence[Row], int]:
        """The rows of the page asked for, and how many there are in all; `values` are for parameters of `entries`."""
        page, count = self.statements(scope, listing)
        values |= self.values(scope, listing)
        rows = await ask(engine, page, values)
        if len(rows) < listing.page_size and (rows or listing.page == 1):
            # The last page: what comes before it is known.
            return rows, listing.offset + len(rows)
        return rows, int(await ask_value(engine, count, values))

    def values(self, scope: Scope, listing: Listing) -> dict[str, object]:
        """The values of a listing's parameters."""
        page = {"page_size": listing.page_size, "page_offset": listing.offset}
        filters = {f"filter_{place}": each.value for place, each in enumerate(listing.filters)}
        return {**scope_parameters(scope), "search": _pattern(self._shape, listing.search), **page, **filters}

    def statements(self, scope: Scope, listing: Listing) -> tuple[sa.Select[Any], sa.Select[Any]]:
        """The page and the count, with parameters where the values belong."""
        filters = tuple((each.field, each.match) for each in listing.filters)
        form = (tuple(scope_parameters(scope)), bool(listing.search), filters, listing.order)
        known = self._forms.get(form)
        if known is None:
            if len(self._forms) >= MAX_FORMS:
                self._forms.clear()
            known = self._forms[form] = self._built(scope, listing)
        return known

    def _built(self, scope: Scope, listing: Listing) -> tuple[sa.Select[Any], sa.Select[Any]]:
        query = self._entries(scope_of_parameters(scope_parameters(scope)))
        filters = tuple(
            replace(each, value=sa.bindparam(f"filter_{place}")) for place, each in enumerate(listing.filters)
        )
        query = query.where(*(_met(query.selected_columns[each.field], each) for each in filters))
        if listing.search:
            query = query.where(_has(self._shape, query.selected_columns))
        count = query.with_only_columns(sa.func.count(), maintain_column_froms=True).order_by(None)
        size, offset = (sa.bindparam(name, type_=sa.BigInteger) for name in ("page_size", "page_offset"))
        return query.order_by(*self._ordered(query, listing)).limit(size).offset(offset), count

    def _ordered(self, query: sa.Select[Any], listing: Listing) -> Order:
        """The order asked for; ties in order of the list's key."""
        if self._order is not None and not listing.order:
            return self._order
        column = query.selected_columns
        wanted = [_ordered(column[name.removeprefix("-")], name.startswith("-")) for name in listing.order]
        named = {name.removeprefix("-") for name in listing.order}
        return [*wanted, *(column[name] for name in self._shape.key if name not in named)]


def _has(shape: ListShape, column: sa.ColumnCollection[str, Any]) -> sa.ColumnElement[bool]:
    pattern = sa.bindparam("search", type_=sa.String)
    if shape.search_text is not None:
        found: sa.ColumnElement[bool] = column[shape.search_text].like(pattern, escape=ESCAPE)
        return found
    return sa.or_(*(column[name].ilike(pattern, escape=ESCAPE) for name in shape.searched))


def _pattern(shape: ListShape, text: str) -> str:
    """What `text` is part of; nothing in it stands for something else."""
    if shape.search_text is not None:
        text = text.lower()
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return f"%{text}%"


_CONDITIONS: Mapping[Match, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    Match.IS: operator.eq,
    Match.FROM: operator.ge,
    Match.TO: operator.lt,
}


def _met(column: sa.ColumnElement[Any], asked: Filter) -> sa.ColumnElement[bool]:
    return _CONDITIONS[asked.match](column, asked.value)


def _ordered(column: sa.ColumnElement[Any], turned: bool) -> sa.UnaryExpression[Any]:
    ordered = column.desc() if turned else column.asc()
    # The databases disagree where nothing belongs.
    return ordered.nulls_last() if getattr(column, "nullable", True) else ordered
