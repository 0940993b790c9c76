"""A clock that stands still until it is told to move."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Tells the time it was given."""

    def __init__(self, at: datetime = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)) -> None:
        self.at = at.astimezone(UTC)

    def now(self) -> datetime:
        """The time it was given last."""
        return self.at

    def advance(self, **by: float) -> datetime:
        """Move on by `timedelta(**by)`; the new time."""
        self.at += timedelta(**by)
        return self.at
