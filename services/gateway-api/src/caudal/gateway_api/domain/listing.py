"""What part of a list is asked for, and in which order."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from caudal.common.domain.errors import InvalidInput

T = TypeVar("T")

MAX_PAGE_SIZE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of a list."""

    search: str = ""
    """Part of a code, a name or a device, in any case; empty: no search."""
    filters: dict[str, str | bool] = field(default_factory=dict)
    """Field to the value that it must have."""
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
