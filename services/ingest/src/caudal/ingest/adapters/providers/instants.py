"""Instants as APIs want to have them written."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(at: datetime) -> str:
    """`at` as most APIs take it: UTC, milliseconds, Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def epoch_ms(at: datetime) -> int:
    """`at` in milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


class TimeWriter:
    """Writes the bounds of a question.

    Args:
        form: `rfc3339`, `epoch_s`, `epoch_ms` or a strptime pattern.
        zone: Of what a pattern writes.
    """

    def __init__(self, form: str, zone: str) -> None:
        self._form, self._zone = form, ZoneInfo(zone)
        self.resolution = _resolution(form)
        """How finely it writes."""

    def start(self, at: datetime) -> str:
        """A lower bound; on the day that clocks change, one that is low enough whichever way it is read."""
        return self._written(at - self._doubt(at))

    def end(self, at: datetime) -> str:
        """An upper bound, likewise."""
        return self._written(at + self._doubt(at))

    def _written(self, at: datetime) -> str:
        match self._form:
            case "rfc3339":
                return instant(at)
            case "epoch_ms":
                return str(epoch_ms(at))
            case "epoch_s":
                return str(epoch_ms(at) // 1000)
            case pattern:
                return at.astimezone(self._zone).strftime(pattern)

    def _doubt(self, at: datetime) -> timedelta:
        """How much the two meanings of this local time are apart; 0 where it has one."""
        local = at.astimezone(self._zone)
        first, second = (local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
        return abs(first - second) if "%" in self._form and "%z" not in self._form else timedelta()


def _resolution(form: str) -> timedelta:
    if form in ("rfc3339", "epoch_ms") or "%f" in form:
        return timedelta(milliseconds=1)
    if form == "epoch_s":
        return timedelta(seconds=1)
    moment = datetime(2001, 2, 3, 16, 5, 6)
    has_seconds = datetime.strptime(moment.strftime(form), form).second == moment.second
    return timedelta(seconds=1) if has_seconds else timedelta(minutes=1)
