"""What part of a list is asked for, and in which order; and what a list can be asked for at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, NewType, TypeVar

from caudal.common.domain.errors import InvalidInput

T = TypeVar("T")
S = TypeVar("S")

MAX_PAGE_SIZE = 500

Code = NewType("Code", str)
"""The type of a filter that only an id can meet."""


class Match(StrEnum):
    """How a field is held against a value."""

    IS = "is"
    FROM = "from"
    """Not below it."""
    TO = "to"
    """Below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One condition; what has nothing in the field does not meet it."""

    field: str
    value: Any
    match: Match = Match.IS


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of a list."""

    search: str = ""
    """Part of what the list can be searched by, in any case; empty: no search."""
    filters: tuple[Filter, ...] = ()
    """All of them are met."""
    order: tuple[str, ...] = ()
    """Fields to order by; `-` before one turns it around."""
    page: int = 1
    """From 1."""
    page_size: int = 50
    """1 to `MAX_PAGE_SIZE`."""

    @property
    def offset(self) -> int:
        """How many entries come before this page."""
        return (self.page - 1) * self.page_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A page of a list, and how long the whole is."""

    items: list[T]
    total: int
    page: int
    page_size: int

    def mapped(self, change: Callable[[T], S]) -> "Page[S]":
        """The same page with `change(item)` in the place of each item."""
        return Page(
            items=[change(item) for item in self.items], total=self.total, page=self.page, page_size=self.page_size
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListShape:
    """What a list can be asked for. The routes make their parameters of it, the adapters their conditions."""

    name: str
    """Of the file, when the list is downloaded."""
    columns: tuple[str, ...]
    """Fields of an entry that make a line of the file."""
    filters: Mapping[str, type]
    """Field to the type of its values; numbers and instants are filtered by `_from` (included) and `_to`; of
    `created_at` that makes `created_from`."""
    ordered: tuple[str, ...]
    """Fields that the list can be ordered by."""
    key: tuple[str, ...]
    """Fields that tell entries apart: ties are in their order."""
    searched: tuple[str, ...] = ()
    """Fields that a search looks into."""
    search_text: str | None = None
    """A column that has all of them as `search_text` makes it; None: there is none, they are looked into one by one."""


def search_text(*fields: str) -> str:
    """What a search looks into, in one piece: many are read faster so, and case is the same in every database."""
    return "\n".join(fields).lower()


def order_of(text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Fields to order by from `name,-code`.

    Raises:
        InvalidInput: a field is not among `allowed`.
    """
    fields = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in fields:
        if part.removeprefix("-") not in allowed:
            raise InvalidInput("order", f"{part[:40]!r} is not one of {', '.join(allowed)}")
    return fields
