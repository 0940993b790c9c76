"""Rows and questions that the laws of `TelemetryStore` are written with."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from caudal.common.ports import Sample, SeriesRow, TelemetryStore

RETENTION = timedelta(days=90)
"""Of the stores that are put to the test."""
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
BASE = TODAY - timedelta(days=10)
"""Midnight, well within the retention."""
LONG_AGO = datetime(2019, 5, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
EVER = datetime(1700, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class MovableClock:
    """Tells the time, moved by `offset`."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """This instant, moved."""
        return datetime.now(UTC) + self.offset


def row(
    minute: float, point: str = "well-1", provider: str = "twin", base: datetime = BASE, **fields: float
) -> SeriesRow:
    """A row so many minutes after `base`."""
    return SeriesRow(point, base + minute * MINUTE, fields, provider)


def at(minute: float, base: datetime = BASE) -> datetime:
    """The instant of `row(minute)`."""
    return base + minute * MINUTE


def column(samples: Iterable[Sample], variable: str = "flow") -> list[tuple[datetime, float | None]]:
    """What samples say of one variable."""
    return [(sample.at, sample.values[variable]) for sample in samples]


async def all_rows(store: TelemetryStore, point: str = "well-1") -> list[SeriesRow]:
    """What `rows` gives."""
    return [found async for found in store.rows(point)]


async def flows(store: TelemetryStore, *variables: str, point: str = "well-1", limit: int = 100_000) -> list[Sample]:
    """All there is of some variables; flow by default."""
    return await store.samples(point, variables or ("flow",), *EVER, limit)
