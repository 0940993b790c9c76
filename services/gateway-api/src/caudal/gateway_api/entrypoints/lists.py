"""Every list in one way: its parameters, its pages, and the whole of it as a file."""

import csv
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from io import StringIO
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field, create_model

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.cells import cell
from caudal.gateway_api.domain.listing import MAX_PAGE_SIZE, Code, Filter, Listing, ListShape, Match, Page, order_of
from caudal.gateway_api.entrypoints.answers import answer
from caudal.gateway_api.entrypoints.representations import CSV
from caudal.gateway_api.entrypoints.schemas.common import Id, Instant, Text

Read = Callable[[Listing], Awaitable[Page[Any]]]

_TYPES: dict[type, Any] = {
    str: Text,
    Code: Id,
    datetime: Instant,
    float: Annotated[float, Field(allow_inf_nan=False)],
}
"""How a value is read from a URL, where not as pydantic does it."""
_RANGED = (datetime, float)
_MATCHES = {"": Match.IS, "_from": Match.FROM, "_to": Match.TO}

AS_FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""What the documentation says of a list beside JSON."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A list as somebody asked for it."""

    listing: Listing
    shape: ListShape
    as_file: bool


def asked_for(shape: ListShape) -> Callable[..., Awaitable[Asked]]:
    """A dependency that reads everything that a list of this shape can be asked for."""
    wanted = {
        f"{name.removesuffix('_at')}{ending}": Filter(field=name, value=kind, match=_MATCHES[ending])
        for name, kind in shape.filters.items()
        for ending in (("_from", "_to") if kind in _RANGED else ("",))
    }
    fields: Any = {name: (_TYPES.get(each.value, each.value) | None, None) for name, each in wanted.items()}
    model: Any = create_model(
        f"{shape.name.capitalize()}Query", __config__=ConfigDict(extra="forbid"), **fields, **_parameters(shape)
    )

    async def read(request: Request, query: Annotated[model, Query()]) -> Asked:
        _refuse_repeated(request)
        filters = tuple(
            replace(each, value=getattr(query, name))
            for name, each in wanted.items()
            if getattr(query, name) is not None
        )
        listing = Listing(
            search=query.search.strip(),
            filters=filters,
            order=order_of(query.order, shape.ordered),
            page=query.page,
            page_size=query.page_size,
        )
        return Asked(listing, shape, (query.format or _accepted(request)) == "csv")

    return read


async def named_only(request: Request) -> None:
    """Nothing, if each parameter in the URL is one of the route's; for lists that write their parameters one by one.

    Raises:
        InvalidInput: one isn't: a misspelt filter would be left out in silence.
    """
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise InvalidInput(name[:80], "there is no such field")
    _refuse_repeated(request)


def _refuse_repeated(request: Request) -> None:
    """Nothing, if every parameter is there once: of two, one would be left out in silence."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise InvalidInput(name, "is given more than once")


def _parameters(shape: ListShape) -> dict[str, Any]:
    """What every list is asked for."""
    orders = ", ".join(shape.ordered)
    fields: dict[str, Any] = {
        "order": (
            Text,
            Field("", description=f"Fields to order by, `-` turns one around: {orders}.", examples=[shape.ordered[0]]),
        ),
        "page": (int, Field(1, ge=1, le=1_000_000)),
        "page_size": (int, Field(50, ge=1, le=MAX_PAGE_SIZE)),
        "format": (
            Literal["json", "csv"] | None,
            Field(None, description="csv: the whole list as a file; left out: by the Accept header."),
        ),
        "search": (Text, Field("", description=f"Part of one of {', '.join(shape.searched)}, in any case.")),
    }
    return fields


def _accepted(request: Request) -> str:
    """The first of the kinds in the Accept header that we write."""
    for part in request.headers.get("accept", "").lower().split(","):
        kind = part.partition(";")[0].strip()
        if kind in ("text/csv", "application/json", "*/*"):
            return "csv" if kind == "text/csv" else "json"
    return "json"


async def listed(asked: Asked, read: Read) -> Response:
    """The page asked for, or the whole list as a file."""
    if not asked.as_file:
        return answer(await read(asked.listing))
    # What fails does so here, while the answer can still say it.
    first = await read(replace(asked.listing, page=1, page_size=MAX_PAGE_SIZE))
    headers = {"Content-Disposition": f'attachment; filename="{asked.shape.name}.csv"'}
    return StreamingResponse(_lines(asked, first, read), media_type=CSV, headers=headers)


async def _lines(asked: Asked, first: Page[Any], read: Read) -> AsyncIterator[str]:
    columns = asked.shape.columns
    yield _text(iter([columns]))
    found = first
    while found.items:
        yield _text([cell(getattr(item, name)) for name in columns] for item in found.items)
        if len(found.items) < found.page_size:
            return
        found = await read(replace(asked.listing, page=found.page + 1, page_size=MAX_PAGE_SIZE))


def _text(rows: Iterator[Any]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
