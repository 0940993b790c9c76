"""InfluxDB's answers, 1.x and 2.x, as errors of ours."""

import re

from caudal.common.domain.errors import CaudalError, Permanent, Transient

_DROPPED = re.compile(r"dropped[ =](\d+)")
_MISSING = re.compile(r"(database|bucket|retention policy|organization name) .*not found|not found: ")
_NOT_THE_ROWS = frozenset({401, 403, 404, 408, 429})
"""Client errors that say nothing about the rows sent: these can be written once the operator or time has helped."""


class Refusal(Permanent):
    """The server refuses what was sent; of a write, it may have kept a part."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"InfluxDB refuses ({status}): {reason[:500]}")
        self.reason = reason[:500]
        self.beyond_retention = "retention policy" in reason and "dropped" in reason
        """Whether points were dropped for their age."""

    @property
    def dropped(self) -> int:
        """How many points were dropped, as far as the server says."""
        found = _DROPPED.search(self.reason)
        return int(found[1]) if found else 0


class Missing(Transient):
    """The database or bucket is not there (any more): it has to be set up."""


def judged(status: int, reason: str, retry_after: str | None = None) -> CaudalError:
    """The error to raise for an HTTP answer that is no success."""
    if status == 404 and is_missing(reason):
        return Missing(f"InfluxDB: {reason[:500]}")
    if status >= 500 or status in _NOT_THE_ROWS:
        pause = float(retry_after) if retry_after and retry_after.isdecimal() else 1.0
        return Transient(f"InfluxDB answers {status}: {reason[:500]}", retry_after_s=min(pause, 300.0))
    return Refusal(status, reason)


def is_missing(reason: str) -> bool:
    """Whether an error says that the place it was about does not exist."""
    return _MISSING.search(reason) is not None
