"""How a stretch of history is fetched whole from an API whose answers are cut off at a number of rows.

No API says that an answer was cut off, and few let rows of one instant be told apart. So a stretch is walked from one
end: an answer that may have been cut off is followed by a question that reaches back over its last instant, and what
comes twice is kept once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from caudal.common.domain.errors import Permanent
from caudal.ingest.domain.payloads import text_of

RESOLUTION = timedelta(milliseconds=1)
"""How finely most APIs let an instant be written in a question."""
MAX_LIMIT = 10_000
"""Rows asked for at once where many share an instant."""
MAX_ROWS = 20_000
"""Rows held of one stretch."""
LEAST_CUT = 15
"""Rows in the shortest answer that is ever cut off; TagoIO gives so many unless asked for more."""

ASTRAY = timedelta(days=1)
"""Rows so far from what was asked for are no matter of zones, or of an API that knows whole days only."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RemoteRow(msgspec.Struct, frozen=True):
    """One variable at one instant, as an answer has it."""

    variable: str
    measured_at: datetime
    """UTC."""
    value: int | float | str | bool | None
    item: Any
    """The part of the answer that it was read from."""


class Strand(msgspec.Struct, frozen=True):
    """Rows of an answer that are cut off together."""

    rows: Sequence[RemoteRow]
    count: int
    """How many the API counts: rows with several variables are one, and one that cannot be read is one, too."""


class Ask(msgspec.Struct, frozen=True):
    """The next question of a walk."""

    start: datetime
    end: datetime
    limit: int
    """Rows of each strand."""


class TooDense(Permanent):
    """More rows than can be held, or fetched at once where they share an instant."""


class Unheeded(Permanent):
    """An API answers with rows of other times than it was asked for; what it has of those, nobody can tell."""


class Pile:
    """Rows from `start` to before `end`, each kept once however often it comes."""

    def __init__(self, start: datetime, end: datetime, *, newest_first: bool) -> None:
        self.start, self.end, self._newest_first = start, end, newest_first
        self._rows: dict[tuple[object, ...], RemoteRow] = {}

    def add(self, strands: Sequence[Strand]) -> int:
        """Put the rows of an answer on it; how many were not there.

        Raises:
            TooDense: it would be too high.
        """
        known = len(self._rows)
        for strand in strands:
            for row in strand.rows:
                self._rows.setdefault((row.variable, row.measured_at, text_of(row.value)), row)
        if len(self._rows) > MAX_ROWS:
            raise TooDense(f"more than {MAX_ROWS} rows from {self.start.isoformat()} to {self.end.isoformat()}")
        return len(self._rows) - known

    def rows(self) -> list[RemoteRow]:
        """Oldest first; of two values for one instant, the one that the API puts nearer to its newest comes last."""
        found = list(self._rows.values())
        if self._newest_first:
            found.reverse()
        inside = (row for row in found if self.start <= row.measured_at < self.end)
        return sorted(inside, key=lambda row: row.measured_at)


class Walk:
    """Everything that an API has from `start` to before `end`.

    Args:
        start: UTC.
        end: UTC.
        limit: Rows to ask for at once.
        newest_first: Whether an answer that is cut off has the newest rows, or the oldest.
        resolution: How finely instants are written in questions.
    """

    def __init__(
        self, start: datetime, end: datetime, limit: int, *, newest_first: bool, resolution: timedelta = RESOLUTION
    ) -> None:
        self._pile = Pile(start, end, newest_first=newest_first)
        self._limit, self._newest_first, self._resolution = limit, newest_first, resolution
        # Whether an API takes its bounds in or not, nothing at either of them is missed.
        self.ask: Ask | None = Ask(self._floor(start) - resolution, self._floor(end) + resolution, limit)
        """What to ask next; None: all is here."""

    def take(self, strands: Sequence[Strand]) -> None:
        """Take in what was answered to `ask`.

        Raises:
            TooDense: the stretch holds too much.
            Unheeded: all rows are of another time.
        """
        asked = self.ask
        if asked is None:
            return
        instants = [row.measured_at for strand in strands for row in strand.rows]
        if instants and all(at < asked.start - ASTRAY or at > asked.end + ASTRAY for at in instants):
            raise Unheeded(f"the API gives rows of {instants[0].isoformat()} when asked for another time")
        new = self._pile.add(strands)
        cut = [strand for strand in strands if may_be_cut(strand, asked.limit)]
        self.ask = self._next(asked, cut, has_new=new > 0) if cut else None

    def rows(self) -> list[RemoteRow]:
        """As `Pile`."""
        return self._pile.rows()

    def _next(self, asked: Ask, cut: Sequence[Strand], has_new: bool) -> Ask | None:
        onward = self._onward(asked, cut)
        if onward is None:
            return None
        if has_new and (onward.start > asked.start or onward.end < asked.end):
            return onward
        if all(strand.count < asked.limit for strand in cut):
            return None
        if asked.limit >= MAX_LIMIT:
            raise TooDense(f"more than {MAX_LIMIT} rows share an instant, or the API does not heed the time asked for")
        return Ask(asked.start, asked.end, min(asked.limit * 4, MAX_LIMIT))

    def _onward(self, asked: Ask, cut: Sequence[Strand]) -> Ask | None:
        """What may lie beyond the strands that were cut off; None: nothing of ours."""
        instants = [[row.measured_at for row in strand.rows] for strand in cut if strand.rows]
        if not instants:
            return asked
        if self._newest_first:
            border = max(min(each) for each in instants)
            end = min(self._floor(border) + self._resolution, asked.end)
            return Ask(asked.start, end, self._limit) if border >= self._pile.start else None
        border = min(max(each) for each in instants)
        start = max(self._floor(border) - self._resolution, asked.start)
        return Ask(start, asked.end, self._limit) if border < self._pile.end else None

    def _floor(self, at: datetime) -> datetime:
        return at - (at - _EPOCH) % self._resolution


class Spans:
    """A stretch of time in spans, oldest first: long where little was measured, short where much.

    Args:
        start: UTC.
        end: UTC.
        length: Of the first.
        plenty: Rows of a span that is long enough.
    """

    LONGEST = timedelta(days=32)
    SHORTEST = timedelta(minutes=1)

    def __init__(self, start: datetime, end: datetime, length: timedelta, plenty: int) -> None:
        self.start, self._last, self._length, self._plenty = start, end, length, plenty

    @property
    def end(self) -> datetime:
        """Of the span at hand."""
        return min(self.start + self._length, self._last)

    def is_over(self) -> bool:
        """Whether there is no further span."""
        return self.start >= self._last

    def advance(self, rows: int) -> None:
        """Go on to the next span; this one had so many rows."""
        self.start = self.end
        if rows < self._plenty:
            self._length = max(min(self._length * 2, self.LONGEST), self._length)
        elif rows > 4 * self._plenty:
            self._length = max(self._length / 2, self.SHORTEST)

    def shorten(self) -> bool:
        """Try with a shorter one; False: it is as short as can be."""
        length = self.end - self.start
        if length <= self.SHORTEST:
            return False
        self._length = max(length / 4, self.SHORTEST)
        return True


def may_be_cut(strand: Strand, limit: int) -> bool:
    """Whether there may be more than was answered to a question for `limit` rows."""
    return strand.count >= min(limit, LEAST_CUT)
