"""Lists that are part of one thing and so are short: asked like the long ones, without a database."""

from collections.abc import Callable, Mapping, Sequence
from operator import ge, lt
from typing import Any, TypeVar

from caudal.gateway_api.domain.listing import Filter, Listing, ListShape, Match, Page

T = TypeVar("T")

_CONDITIONS: Mapping[Match, Callable[[Any, Any], bool]] = {Match.FROM: ge, Match.TO: lt}


def page_among(entries: Sequence[T], listing: Listing, shape: ListShape) -> Page[T]:
    """The page that a listing asks for; ties in order of the list's key, what has nothing in a field last."""
    wanted = listing.search.lower()
    found = [
        entry
        for entry in entries
        if all(_meets(entry, each) for each in listing.filters)
        and (not wanted or any(wanted in str(getattr(entry, name)).lower() for name in shape.searched))
    ]
    for name in reversed((*listing.order, *shape.key)):
        field = name.removeprefix("-")
        found.sort(key=lambda entry: _rank(getattr(entry, field)), reverse=name.startswith("-"))
        found.sort(key=lambda entry: getattr(entry, field) is None)
    page = found[listing.offset : listing.offset + listing.page_size]
    return Page(items=page, total=len(found), page=listing.page, page_size=listing.page_size)


def _meets(entry: object, asked: Filter) -> bool:
    value = getattr(entry, asked.field)
    if value is None:
        return False
    return value == asked.value if asked.match is Match.IS else _CONDITIONS[asked.match](value, asked.value)


def _rank(value: Any) -> Any:
    """Something that can be compared; what is None is moved to the end afterwards."""
    return (value is not None, value) if value is not None else (False,)
