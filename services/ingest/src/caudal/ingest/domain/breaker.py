"""When a provider is left alone: after failures in a row, and for as long as it asks for."""

from datetime import datetime, timedelta

import msgspec

FAILURES = 5
"""Transient failures in a row after which a provider is left alone."""
FIRST_PAUSE = timedelta(minutes=1)
"""How long it is left alone first; it doubles each time the question after a pause fails too."""
LONGEST_PAUSE = timedelta(minutes=30)
LONGEST_WISH = timedelta(days=1)
"""A provider that asks to be left alone for longer is asked again the next day."""


class Breaker(msgspec.Struct, frozen=True):
    """Whether a provider may be asked. Kept in the record, so that a restart forgets nothing."""

    failures: int = 0
    """Transient ones, in a row."""
    pauses: int = 0
    """In a row, without an answer in between."""
    open_until: datetime | None = None
    """Until then it is left alone."""

    def allows(self, now: datetime) -> bool:
        """Whether it may be asked."""
        return self.open_until is None or now >= self.open_until

    def is_probing(self) -> bool:
        """Whether the next question decides: it goes out alone."""
        return self.pauses > 0

    def answered(self) -> "Breaker":
        """After an answer, whatever it said."""
        return Breaker()

    def tried_at(self, now: datetime) -> "Breaker":
        """After somebody had it asked, or changed its entry: one question tries it, however long it was to be left."""
        return self if self.allows(now) else Breaker(self.failures, max(1, self.pauses), None)

    def failed(self, now: datetime, retry_after_s: float | None = None) -> "Breaker":
        """After a failure that may pass; `retry_after_s` is what the provider asks for."""
        failures = self.failures + 1
        pauses, until = self.pauses, self.open_until
        # Of many that were under way together only the first opens it.
        if self.allows(now) and (self.is_probing() or failures >= FAILURES):
            until = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(pauses, 20))
            pauses += 1
        if retry_after_s is not None:
            wanted = now + min(LONGEST_WISH, timedelta(seconds=max(0.0, retry_after_s)))
            until = max(until, wanted) if until else wanted
        return Breaker(failures, pauses, until)
