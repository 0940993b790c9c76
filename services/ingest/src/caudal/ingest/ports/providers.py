"""Asking a provider: questions, and the outcomes that are all there can be."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Protocol

import msgspec


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What one point wants to know of its provider."""

    remote_id: str
    """What the provider calls the point's device."""
    keys: Mapping[str, str]
    """Variable code → what the provider calls it."""
    start: datetime | None = None
    """History from this instant on. Neither it nor `end`: the latest values."""
    end: datetime | None = None
    """History before this instant."""


class RemoteReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says was measured at one instant."""

    measured_at: datetime
    """UTC."""
    values: dict[str, int | float | str | bool]
    """Variable code → value exactly as the provider gave it; what it gave as null is not there."""
    payload: str
    """The rows that it was read from, as JSON text."""


class UnreadableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an answer that is no reading; the others of its page are given all the same."""

    reason: str
    payload: str
    """The row, as JSON text."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Values, or an empty stretch of a history."""

    readings: list[RemoteReading]
    """Oldest first. An instant comes twice if the provider gave two values for it; the later one counts."""
    raw: str = ""
    """The beginning of the answer, for people, without anything secret."""
    unreadable: list[UnreadableRow] = []
    complete_until: datetime | None = None
    """Of a history: nothing before this instant is missing from this page and those before it."""


class NoData(msgspec.Struct, frozen=True, kw_only=True):
    """The provider answered, and has nothing."""

    reason: str
    raw: str = ""
    complete_until: datetime | None = None
    """Of a history: as in `Answered`."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """There is no telling what the provider has."""

    reason: str
    """In words, without anything secret."""
    is_transient: bool
    """Whether asking again may help; if not, somebody has to change the configuration first."""
    retry_after_s: float | None = None
    """How long the provider wants to be left alone, if it says so."""
    concerns_all: bool = False
    """Whether whoever is asked for next hears the same: the credentials that all points share are refused."""
    raw: str = ""


Outcome = Answered | NoData | Failed


class ProviderClient(Protocol):
    """Asks one provider. Answers are values: whatever the provider does, nothing is raised, and no 0 is made up."""

    async def latest(self, question: Question) -> Outcome:
        """The latest value of each variable; variables measured at the same instant share a reading."""
        ...

    def history(self, question: Question) -> AsyncIterator[Outcome]:
        """What was measured from `start` to before `end`, page by page; ends after the first `Failed`.

        Every page says in `complete_until` how far a cursor may move once the page is kept: up to there the provider
        has no more at the moment, though a device may still hand it older values. A stretch without values is `NoData`.
        """
        ...
