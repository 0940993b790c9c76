"""The instant of one reading: a time rule made ready."""

from datetime import datetime
from typing import Any

from caudal.common.domain.payloads.mapping import TimeRule
from caudal.common.domain.payloads.paths import finder, paths_of
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.payloads.times import checked_instant, time_reader
from caudal.common.domain.payloads.zones import Zones


class Instants:
    """Finds and reads the times of readings."""

    def __init__(self, rule: TimeRule, zone: str | Zones | None) -> None:
        self._finders = [(path, finder(path)) for path in paths_of(rule.path)]
        self._time_of_day = finder(rule.time_of_day) if rule.time_of_day else None
        self._read = time_reader(rule.format, rule.zone or zone, rule.clock_change)
        self._is_optional = rule.otherwise == "received" or not self._finders

    def find(self, reading: Any, payload: Any, latest: datetime | None) -> datetime | None:
        """The instant that `reading` gives, UTC; None: it gives none, and the rule lets the receipt count.

        Args:
            reading: One reading.
            payload: The whole that it stands in.
            latest: No reading can be later; None: any time is taken, and none may be given.

        Raises:
            Unreadable: it gives none, or one that cannot be.
        """
        for path, find in self._finders:
            raw = find(reading, payload)
            if raw is None or raw == "":
                continue
            try:
                at = self._read(raw if self._time_of_day is None else self._joined(raw, reading, payload))
                return checked_instant(at, latest) if latest else at
            except Unreadable as error:
                error.under(path)
                raise
        if self._is_optional or latest is None:
            return None
        raise Unreadable(Refusal.SHAPE, " or ".join(path for path, _ in self._finders), "no time there")

    def _joined(self, date: Any, reading: Any, payload: Any) -> str:
        time = self._time_of_day(reading, payload) if self._time_of_day else None
        if time is None or time == "":
            raise Unreadable(Refusal.TIME, "", "has no time of day beside it")
        return f"{date} {time}"
