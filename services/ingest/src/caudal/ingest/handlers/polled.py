"""What a provider answered, in the words that every door understands."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b

import msgspec

from caudal.common.bus import topics
from caudal.common.domain.catalog import Point
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.readings import Inlet
from caudal.ingest.handlers.accepting import Arrival
from caudal.ingest.ports import Marks, RemoteReading, UnreadableRow

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
    """What was handed on of one point lately: the overlap brings it again and again, and it need not travel again.

    The ledger would take it for another delivery, and the later one counts: an old value would come before what
    somebody has put right since. So the record keeps it, whichever replica asks, however often one is started.

    Args:
        known: From the record.
        since: Variable code to the instant before which nothing of it is remembered.
    """

    def __init__(self, known: Marks, since: Mapping[str, datetime]) -> None:
        self._known = dict(known)
        self._since = since

    def news(self, readings: Sequence[RemoteReading]) -> list[RemoteReading]:
        """What of `readings` was not handed on yet, or with another value."""
        marks = _marks(readings)
        found: list[RemoteReading] = []
        for reading in readings:
            at = reading.measured_at
            known = {code: self._known.get((code, at.date()), {}).get(at) for code in reading.values}
            values = {
                code: value for code, value in reading.values.items() if known[code] != marks[code, at.date()][at]
            }
            if values:
                found.append(msgspec.structs.replace(reading, values=values))
        return found

    def keep(self, readings: Sequence[RemoteReading]) -> Marks:
        """Remember that these were handed on; all that is known of the days that changed, nothing of old ones."""
        changed: Marks = {}
        for (code, day), marks in _marks(readings).items():
            if day >= self._since[code].date():
                changed[code, day] = self._known[code, day] = self._known.get((code, day), {}) | marks
        if changed:
            old = [(code, day) for code, day in self._known if code in self._since and day < self._since[code].date()]
            for key in old:
                del self._known[key]
                changed[key] = {}
        return changed


class Refused:
    """Rows that were put away lately, so that an overlap does not say them again and again.

    Kept in memory alone: the ledger knows a row that was put away before.
    """

    def __init__(self) -> None:
        self._known: dict[str, set[int]] = {}

    def news(self, point: str, rows: Sequence[UnreadableRow]) -> list[UnreadableRow]:
        """Those of `rows` that were not put away yet."""
        known = self._known.get(point, set())
        return [row for row in rows if hash(row.payload) not in known]

    def keep(self, point: str, rows: Sequence[UnreadableRow]) -> None:
        """Remember that these were put away; the ones before them are forgotten when they are many."""
        if rows:
            known = self._known.setdefault(point, set())
            if len(known) > ROWS_KNOWN:
                known.clear()
            known.update(hash(row.payload) for row in rows)

    def forget_others(self, points: Sequence[str]) -> None:
        """Forget all points but these."""
        for point in self._known.keys() - set(points):
            del self._known[point]


def _marks(readings: Sequence[RemoteReading]) -> Marks:
    """A mark of all that is said of a variable at an instant, the same for ever: an answer may hold two values."""
    marks: Marks = {}
    for reading in readings:
        at = reading.measured_at
        for code, value in reading.values.items():
            day = marks.setdefault((code, at.date()), {})
            said = msgspec.json.encode((day.get(at), value))
            day[at] = int.from_bytes(blake2b(said, digest_size=4).digest(), "big")
    return marks
