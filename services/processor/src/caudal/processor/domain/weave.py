"""Late and corrected readings, folded in where they belong.

A weave starts from the state that the ledger stored with the predecessor, folds what came and what stands after it,
in order of measurement, and may stop where its state agrees with the stored one and nothing is in doubt: all that
follows would come out as it stands.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.readings import ALERTING, Flag
from caudal.processor.domain.counters import Settlement, pending, settled
from caudal.processor.domain.fold import EMPTY, PointState, step
from caudal.processor.domain.ledger import Measured, Row, merged
from caudal.processor.domain.plans import Timeline


class Change(msgspec.Struct, frozen=True):
    """A row before (None: it is new) and after."""

    before: Row | None
    after: Row

    @property
    def is_visible(self) -> bool:
        """Whether its values changed, not only their bookkeeping."""
        return self.before is None or self.before.processed != self.after.processed

    def erased(self) -> list[str]:
        """Variables that had a value before and have none now."""
        if self.before is None:
            return []
        after = self.after.processed
        return [
            code
            for code, value in self.before.processed.items()
            if value.value is not None and (code not in after or after[code].value is None)
        ]

    def raised(self) -> list[tuple[str, Flag]]:
        """Alerting flags, by variable, that stand now and did not before."""
        before = self.before.processed if self.before else {}
        return [
            (code, flag)
            for code, value in self.after.processed.items()
            if value.flags
            for flag in _alerting(value)
            if code not in before or flag not in _alerting(before[code])
        ]


def _alerting(value: ProcessedValue) -> list[Flag]:
    """Flags to be told as alerts; nobody is woken by a verdict that is still open."""
    open_verdicts = _OPEN if Flag.UNCONFIRMED in value.flags else ()
    return [flag for flag in value.flags if flag in ALERTING and flag not in open_verdicts]


_OPEN = (Flag.ZERO_TOTAL_RESET, Flag.IMPLAUSIBLE_RISE)


class Weave:
    """One pass over a point's rows, oldest first."""

    def __init__(self, timeline: Timeline, state: PointState = EMPTY) -> None:
        self._timeline = timeline
        self._state = state
        self._rows: dict[datetime, Change] = {}
        self.open_settlements: list[Settlement] = []
        """Verdicts on rows before the first that this weave knows; `settle` takes those rows."""

    @property
    def state(self) -> PointState:
        """The state after the last row folded."""
        return self._state

    def reopen(self, doubtful: Iterable[Row]) -> None:
        """Take in the rows before the start whose verdict this weave may change; they are in doubt again."""
        rows = list(doubtful)
        for row in rows:
            self._rows[row.at] = Change(row, row)
        for code, counter in self._state.counters.items():
            verdict = pending(counter, code)
            if verdict is not None:
                last = rows[-1].at if rows else verdict.until
                self._apply(verdict, [row.at for row in rows if verdict.suspect.since <= row.at <= last])

    def fold(self, at: datetime, stored: Row | None, delivered: dict[str, Measured], device: str, provider: str) -> Row:
        """Fold the instant `at`: what stands in the ledger, if anything, and what was delivered for it now."""
        measured = merged(stored.measured, delivered) if stored else delivered
        plan = self._timeline.at(at)
        folded = step(self._state, at, {code: one.value for code, one in measured.items()}, plan)
        self._state = folded.state
        for settlement in folded.settlements:
            self._settle_known(settlement)
        row = Row(
            at=at,
            device=stored.device if stored else device,
            provider=stored.provider if stored else provider,
            measured=measured,
            processed=folded.values,
            state=folded.state,
            received_at=max([one.received_at for one in measured.values()]),
        )
        self._rows[at] = Change(stored, row)
        return row

    def agrees_with(self, stored: Row) -> bool:
        """Whether all rows after `stored`, just folded, would come out as they stand."""
        return self._state.in_doubt_since() is None and self._state == stored.state

    def settle(self, rows: Iterable[Row], settlement: Settlement) -> None:
        """Apply a verdict to rows that were not known to this weave when it fell."""
        found = [row for row in rows if row.at not in self._rows]
        for row in found:
            self._rows[row.at] = Change(row, row)
        self._apply(settlement, [row.at for row in found])

    def take_settled(self) -> list[Change]:
        """Rows that no later reading can change any more, if new or different now, oldest first; they are forgotten."""
        since = self._state.in_doubt_since()
        done = [at for at in self._rows if since is None or at < since]
        return self._take(done)

    def take_all(self) -> list[Change]:
        """All rows that are new or different now, oldest first; they are forgotten."""
        return self._take(list(self._rows))

    def _take(self, instants: list[datetime]) -> list[Change]:
        taken = [self._rows.pop(at) for at in sorted(instants)]
        return [change for change in taken if change.before != change.after]

    def _settle_known(self, settlement: Settlement) -> None:
        since = settlement.suspect.since
        known = [at for at in self._rows if since <= at < settlement.until]
        self._apply(settlement, known)
        if since not in self._rows:
            self.open_settlements.append(settlement)

    def _apply(self, settlement: Settlement, instants: Iterable[datetime]) -> None:
        code = settlement.variable
        for at in instants:
            change = self._rows[at]
            value = change.after.processed.get(code)
            if value is not None:
                processed = {**change.after.processed, code: settled(value, at, settlement)}
                after = msgspec.structs.replace(change.after, processed=processed)
                self._rows[at] = Change(change.before, after)
