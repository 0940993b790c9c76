"""The clock of this machine."""

from datetime import UTC, datetime


class SystemClock:
    """Tells the time of this machine."""

    def now(self) -> datetime:
        """This instant, UTC with zone."""
        return datetime.now(UTC)
