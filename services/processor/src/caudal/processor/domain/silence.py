"""Who has fallen silent: a point of which nothing has come for too long, or a variable of one that still speaks.

Judged by when something was measured, never by when it came: late readings of long ago break no silence.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from caudal.common.bus.codec import encode
from caudal.common.bus.messages import Alert
from caudal.common.bus.topics import TELEMETRY_ALERT
from caudal.common.ports import Outgoing

WHOLE = ""
"""In the place of a variable: the point as a whole."""
SILENCE = "SILENCE"
"""The rule's name in alerts."""


class Watched(msgspec.Struct, frozen=True):
    """A point that is expected to speak, and that has spoken once."""

    point: str
    device: str
    heard_at: datetime
    """When its last reading was measured."""
    due: timedelta
    """How long it may say nothing: its sampling interval times its `gap_factor`."""
    variables: frozenset[str]

    def is_silent(self, now: datetime) -> bool:
        """Whether nothing at all has come for too long."""
        return self.heard_at < now - self.due


class Silence(msgspec.Struct, frozen=True):
    """Nothing has come since."""

    point: str
    variable: str
    """`WHOLE`: of the point as a whole."""
    since: datetime
    """When the last value before it was measured."""
    device: str


def silences_of(
    watched: Watched, heard: Mapping[str, datetime], known: Mapping[str, datetime], now: datetime
) -> dict[str, datetime]:
    """What is silent at a point, and since when.

    Args:
        watched: The point.
        heard: Variable to when its last value was measured, as far as that is known. What never gave a value is not
            missed.
        known: What was silent before, and since when.
        now: By the clock.
    """
    if watched.is_silent(now):
        standing = {variable: since for variable, since in known.items() if variable in watched.variables}
        return standing | {WHOLE: known.get(WHOLE, watched.heard_at)}
    found = {}
    for variable in watched.variables:
        last = heard.get(variable) or known.get(variable)
        if last is not None and last < now - watched.due:
            found[variable] = known.get(variable, last)
    return found


def alert_of(silence: Silence, ended_at: datetime | None = None) -> Outgoing:
    """What the world is told when a silence begins, and when it ends."""
    what = silence.variable or silence.point
    alert = Alert(
        id=f"{silence.point}/{silence.variable}/{SILENCE}/{silence.since.isoformat()}",
        device=silence.device,
        point=silence.point,
        variable=silence.variable,
        rule=SILENCE,
        severity="warning" if silence.variable else "critical",
        measured_at=silence.since,
        detail=f"{what}: nothing measured since {silence.since.isoformat()}",
        ended_at=ended_at,
    )
    return Outgoing(TELEMETRY_ALERT.address(device=silence.device), encode(alert))
