"""What differs between InfluxDB 1.x and 2.x."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """A point's rows of [start, end), in microseconds."""

    point: str
    start: int
    end: int


class InfluxServer(Protocol):
    """Where writing, deleting and setting up are done."""

    async def set_up(self, buckets: Mapping[str, timedelta | None]) -> None:
        """Make buckets that keep what they get for so long (None: for ever), and see that they can be queried.

        A bucket that is there is kept. Its retention becomes longer at once, and shorter only where no stored row
        would be lost by it.
        """
        ...

    async def write(self, bucket: str, body: bytes) -> None:
        """Post lines.

        Raises:
            Refusal: some lines are refused; others may have been taken.
        """
        ...

    async def delete(self, bucket: str, spans: Sequence[Span]) -> None:
        """Forget these rows."""
        ...

    async def delete_all(self, bucket: str) -> None:
        """Forget all rows."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
