"""What a provider answered, in the words that every door understands."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from caudal.common.bus import topics
from caudal.common.domain.catalog import Point
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.readings import Inlet
from caudal.ingest.handlers.accepting import Arrival
from caudal.ingest.ports import RemoteReading, UnreadableRow

READINGS_AT_ONCE = 500
"""Readings in one arrival."""
ROWS_KNOWN = 2_000
"""Unreadable rows remembered of one point."""


def arrivals_of(point: Point, readings: Sequence[RemoteReading]) -> list[Arrival]:
    """`readings`, as if the point's device had sent them itself.

    The canonical form is what the mapping of the point, or of its provider, reads: variables have our codes, and the
    values are still the provider's.
    """
    parts = [readings[start : start + READINGS_AT_ONCE] for start in range(0, len(readings), READINGS_AT_ONCE)]
    contents = [{"readings": [_canonical(reading) for reading in part]} for part in parts]
    return [_arrival(point, msgspec.json.encode(content)) for content in contents]


def refused_of(point: Point, rows: Sequence[UnreadableRow]) -> list[Arrival]:
    """Rows that are no readings, to be put away with their reasons."""
    return [
        msgspec.structs.replace(
            _arrival(point, row.payload.encode("utf-8", "replace")),
            unreadable=Unreadable(Refusal.SHAPE, "row", row.reason),
        )
        for row in rows
    ]


def _arrival(point: Point, payload: bytes) -> Arrival:
    if not point.device:
        return Arrival("", payload, Inlet.POLL, provider=point.provider)
    return Arrival(
        topics.TELEMETRY_UPLINK.address(device=point.device), payload, Inlet.POLL, point.device, point.provider
    )


def _canonical(reading: RemoteReading) -> dict[str, object]:
    return {"measured_at": reading.measured_at, "values": reading.values, "answer": reading.payload}


class Handed:
    """What was handed on lately: the overlap brings it again and again, and it need not travel again.

    Kept in memory alone. After a restart an overlap's readings travel once more, which changes nothing in the ledger.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[datetime, int]] = {}
        self._refused: dict[str, set[int]] = {}

    def news(self, point: str, readings: Sequence[RemoteReading]) -> list[RemoteReading]:
        """Those of `readings` whose instant was not handed on yet with just these values."""
        known, marks = self._known.get(point, {}), _marks(readings)
        return [reading for reading in readings if known.get(reading.measured_at) != marks[reading.measured_at]]

    def keep(self, point: str, readings: Sequence[RemoteReading], since: datetime) -> None:
        """Remember that these were handed on, and forget what was measured before `since`."""
        known = self._known.setdefault(point, {})
        known.update(_marks(readings))
        for at in [at for at in known if at < since]:
            del known[at]

    def new_rows(self, point: str, rows: Sequence[UnreadableRow]) -> list[UnreadableRow]:
        """Those of `rows` that were not put away yet."""
        known = self._refused.get(point, set())
        return [row for row in rows if hash(row.payload) not in known]

    def keep_rows(self, point: str, rows: Sequence[UnreadableRow]) -> None:
        """Remember that these were put away; the ones before them are forgotten when they are many."""
        if rows:
            known = self._refused.setdefault(point, set())
            if len(known) > ROWS_KNOWN:
                known.clear()
            known.update(hash(row.payload) for row in rows)

    def forget_others(self, points: Sequence[str]) -> None:
        """Forget all points but these."""
        for known in (self._known, self._refused):
            for point in known.keys() - set(points):
                del known[point]


def _marks(readings: Sequence[RemoteReading]) -> dict[datetime, int]:
    """A mark of all that is said of each instant: an answer may hold two values for one."""
    marks: dict[datetime, int] = {}
    for reading in readings:
        said = tuple(sorted((code, str(type(value)), value) for code, value in reading.values.items()))
        marks[reading.measured_at] = hash((marks.get(reading.measured_at), said))
    return marks
