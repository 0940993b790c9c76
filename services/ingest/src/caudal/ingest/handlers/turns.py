"""Whose turn it is: which points of which provider are to be asked for, and what is remembered of it afterwards."""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from caudal.common.domain.catalog import Point, Provider, ProviderType
from caudal.ingest.domain.schedule import EPOCH, Complete, PointState, is_due
from caudal.ingest.ports import Failed, ProviderState, Vault


@dataclass(kw_only=True)
class Turn:
    """A provider's turn in a round."""

    provider: Provider
    due: Iterator[tuple[Point, PointState]]
    """Points that are to be asked for."""
    state: ProviderState
    complete: Mapping[str, Complete]
    """By point, how far it is complete."""
    vault: Vault
    until: datetime
    """From then on no further point is asked for; the rest is due in the next round."""
    asked: list[PointState] = field(default_factory=list)
    """Points that the record has not heard of yet."""

    def catch_up(self, provider: Provider | None, points: Mapping[str, Point], vault: Vault) -> None:
        """Go on with entries and secrets as they are now; nobody is asked any further who is no longer to be."""
        if provider is None:
            self.due = iter(())
            return
        self.provider, self.vault = provider, vault
        left = [(points[point.code], state) for point, state in self.due if point.code in points]
        self.due = iter([(point, state) for point, state in left if point.provider == provider.code])


class Entries:
    """What the catalog said when it was last looked at: whoever is changed is worth another try at once.

    Kept in memory alone: after a start nobody is changed.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def changed(self, providers: Collection[Provider], points: Sequence[Point], vault: Vault) -> Set[tuple[str, str]]:
        """(kind, code) of each `provider` and `point` that is not what it was; its secrets and its provider count."""
        marks = {("provider", each.code): _mark(each, vault.mark("provider", each.code)) for each in providers}
        for point in points:
            of_provider = marks.get(("provider", point.provider or ""))
            marks["point", point.code] = _mark(
                (point.provider, point.source, of_provider), vault.mark("point", point.code)
            )
        known, self._known = self._known, marks
        return {entry for entry, mark in marks.items() if known.get(entry, mark) != mark}


def _mark(entry: object, sealed: int) -> int:
    return hash((msgspec.json.encode(entry), sealed))


def is_asked(provider: Provider) -> bool:
    """Whether this provider is asked in every round."""
    is_http = provider.type is ProviderType.HTTP_API and provider.api is not None
    return is_http and provider.active and not provider.testing


def due_by_provider(
    points: Sequence[Point],
    remembered: Mapping[str, PointState],
    now: datetime,
    ordered: Set[str] = frozenset(),
    changed: Set[tuple[str, str]] = frozenset(),
) -> dict[str, list[tuple[Point, PointState]]]:
    """Points that are to be asked for now, with what is remembered of them, by provider.

    Those that wait longest come first: a turn that ends before its end leaves nobody out for ever.

    Args:
        points: All that have a source.
        remembered: By point.
        now: This instant.
        ordered: Providers all of whose points are to be asked for.
        changed: Entries that were changed; of those, points that failed need not wait.
    """
    due: dict[str, list[tuple[Point, PointState]]] = {}
    for point in points:
        if not point.provider:
            continue
        state = _known_of(point, point.provider, remembered.get(point.code))
        is_mended = state.failures > 0 and ("point", point.code) in changed
        sampling = timedelta(minutes=point.sampling_minutes)
        if point.provider in ordered or is_mended or is_due(point.code, sampling, state, now):
            due.setdefault(point.provider, []).append((point, state))
    for waiting in due.values():
        waiting.sort(key=lambda entry: entry[1].asked_at or EPOCH)
    return due


def _known_of(point: Point, provider: str, state: PointState | None) -> PointState:
    """What is remembered of a point; what another provider did with it is no reason to let this one wait."""
    if state is None or state.provider != provider:
        until = state.measured_until if state else None
        return PointState(point=point.code, provider=provider, measured_until=until)
    return state


def state_after(state: ProviderState, failure: Failed | None, now: datetime) -> ProviderState:
    """What is remembered of a provider after one more answer or failure."""
    if failure is None:
        return ProviderState(provider=state.provider, connected_at=now)
    failed = msgspec.structs.replace(state, error=failure.reason, error_at=now)
    if not failure.is_transient and not failure.concerns_all:
        # It is there, and says no: others may be asked for.
        return msgspec.structs.replace(failed, breaker=state.breaker.answered())
    return msgspec.structs.replace(failed, breaker=state.breaker.failed(now, failure.retry_after_s))
