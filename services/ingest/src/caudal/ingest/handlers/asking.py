"""Asking a provider for one point: page by page from its cursors on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec
import structlog

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import CaudalError
from caudal.common.ports import Clock
from caudal.ingest.domain.schedule import Complete, PointState, Reach, looks_back_from, older, stretches
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.polled import Handed, Refused, arrivals_of, refused_of
from caudal.ingest.ports import Answered, Failed, Marks, NoData, Outcome, PollingRecord, ProviderClient, Question

POINT_S = 300.0
"""How long one point may take, all its pages together."""
MAX_PAGES = 100
"""Pages fetched for one point in one round; the rest in the next, so that no point keeps the others waiting."""

OLDER_PAGES = 20
"""The same of an older history that somebody wants: what is new goes before it."""
REMEMBERED_BEYOND = timedelta(days=1)
"""How much further back than it is asked for again it is remembered what was handed on."""

_log = structlog.get_logger(__name__)


class Asked(msgspec.Struct, frozen=True):
    """What asking for one point came to."""

    state: PointState
    failure: Failed | None
    readings: int
    """Handed on."""


class _Progress:
    """How far one point's asking has come."""

    def __init__(self, point: Point, state: PointState, complete: Complete, handed: Handed) -> None:
        assert point.source is not None
        self.point, self.source, self.handed = point, point.source, handed
        self.until, self.since = complete.until, dict(complete.since)
        self.newest: dict[str, datetime] = {}
        self.measured_until = state.measured_until
        self.readings = self.pages = 0
        self.is_behind = self.is_recent = False

    def saw(self, answer: Answered) -> None:
        """Note the newest instant of each variable."""
        for reading in answer.readings:
            for code in reading.values:
                self.newest[code] = max(reading.measured_at, self.newest.get(code, reading.measured_at))
        seen = [at for at in (*self.newest.values(), self.measured_until) if at is not None]
        self.measured_until = max(seen, default=None)

    def begins(self, start: datetime, keys: Mapping[str, str]) -> dict[str, datetime]:
        """Where the histories begin of which nothing is known, or into which this stretch makes a gap."""
        return {
            code: start
            for code in keys
            if code not in self.since or (code in self.until and start > self.until[code] >= self.since[code])
        }


class Asker:
    """Asks for one point at a time, for any number of points at once.

    Args:
        accepting: Where readings go.
        record: Where the cursors are; one moves once the broker has what lies before it.
        clock: What time it is.
        reach: How far back is asked.
    """

    def __init__(self, accepting: Accepting, record: PollingRecord, clock: Clock, reach: Reach) -> None:
        self._accepting = accepting
        self._record = record
        self._clock = clock
        self._reach = reach
        self.refused = Refused()

    async def ask(self, client: ProviderClient, point: Point, state: PointState, complete: Complete) -> Asked:
        """Hand on all that the provider has of `point` from its cursors on, then what is wanted of its past.

        Raises:
            CaudalError: the bus or the record is away, which is not the provider's fault.
        """
        begun = self._clock.now()
        handed = Handed(await self._record.handed(point.code), self._remembered_since(point, complete, begun))
        progress = _Progress(point, state, complete, handed)
        if state.asked_at is None and complete.until:
            state = msgspec.structs.replace(state, moved_at=begun)
        back_to = looks_back_from(point.code, state, begun, self._reach)
        try:
            async with asyncio.timeout(POINT_S):
                failure = await self._fetch(client, progress, back_to)
        except TimeoutError:
            progress.is_behind = progress.pages > 0
            slow = Failed(reason=f"gives no answer within {POINT_S:.0f} s", is_transient=True)
            failure = None if progress.is_behind else slow
        except CaudalError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one client stops one point, not the round
            # Without the message and the trace: either may quote an address with a secret in it.
            _log.error("client failed", point=point.code, provider=point.provider, error=type(error).__name__)
            failure = Failed(reason=f"our client failed: {type(error).__name__}", is_transient=False)
        if back_to is not None and progress.is_recent:
            state = msgspec.structs.replace(state, looked_back_at=begun)
        return Asked(_state_after(state, progress, failure, begun, self._clock.now()), failure, progress.readings)

    def _remembered_since(self, point: Point, complete: Complete, now: datetime) -> dict[str, datetime]:
        """By variable: a silent one's last values are asked for again and again, however old they are."""
        assert point.source is not None
        reach = max(self._reach.first, self._reach.overlap, self._reach.look_back) + REMEMBERED_BEYOND
        return {code: min(complete.until.get(code, now), now) - reach for code in point.source.keys}

    async def _fetch(self, client: ProviderClient, progress: _Progress, back_to: datetime | None) -> Failed | None:
        """Fetch what is new, then what is wanted of the past; the failure that ended it before the end."""
        failure = await self._fetch_recent(client, progress, back_to)
        progress.is_recent = failure is None and not progress.is_behind
        return await self._fetch_older(client, progress) if progress.is_recent else failure

    async def _fetch_recent(
        self, client: ProviderClient, progress: _Progress, back_to: datetime | None
    ) -> Failed | None:
        now, source = self._clock.now(), progress.source
        ahead = stretches(
            source.keys,
            progress.until,
            now,
            self._reach,
            back_to=back_to,
            wanted_from=source.history_from,
        )
        for start, keys in ahead:
            async with _closing(client.history(_question(progress, keys, start, now))) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, Failed):
                        return outcome
                    await self._keep(keys, outcome, progress, moves=True)
                    if progress.pages >= MAX_PAGES:
                        progress.is_behind = True
                        return None
            await self._reach_to(progress, progress.begins(start, keys))
        return None

    async def _fetch_older(self, client: ProviderClient, progress: _Progress) -> Failed | None:
        """Go back in pieces towards where the wanted history begins; one that breaks off is fetched again."""
        most = progress.pages + OLDER_PAGES
        while piece := older(progress.source.keys, progress.since, progress.source.history_from):
            start, end, keys = piece
            if progress.pages >= most:
                progress.is_behind = True
                return None
            async with _closing(client.history(_question(progress, keys, start, end))) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, Failed):
                        return outcome
                    await self._keep(keys, outcome, progress, moves=False)
            await self._reach_to(progress, dict.fromkeys(keys, start))
        return None

    async def _reach_to(self, progress: _Progress, since: dict[str, datetime]) -> None:
        await self._record.reach(progress.point.code, since)
        progress.since |= since

    async def _keep(
        self, keys: Mapping[str, str], outcome: Answered | NoData, progress: _Progress, *, moves: bool
    ) -> None:
        """Hand on a page, then move the cursors: as far as it is complete, and never beyond what was measured.

        A device that was cut off hands its provider old values later; they are found because its cursor has stayed.
        """
        point = progress.point
        progress.pages += 1
        marks: Marks = {}
        if isinstance(outcome, Answered):
            news = progress.handed.news(outcome.readings)
            rows = self.refused.news(point.code, outcome.unreadable)
            await self._accepting.accept([*arrivals_of(point, news), *refused_of(point, rows)])
            progress.saw(outcome)
            progress.readings += len(news)
            self.refused.keep(point.code, outcome.unreadable)
            marks = progress.handed.keep(news)
        until = outcome.complete_until if moves else None
        moved = {code: min(until, progress.newest[code]) for code in keys if until and code in progress.newest}
        await self._record.move(point.code, moved, self._clock.now(), marks)


def _question(progress: _Progress, keys: Mapping[str, str], start: datetime, end: datetime) -> Question:
    return Question(remote_id=progress.source.remote_id, keys=keys, start=start, end=end)


def _state_after(
    state: PointState, progress: _Progress, failure: Failed | None, begun: datetime, now: datetime
) -> PointState:
    asked = msgspec.structs.replace(state, asked_at=begun, measured_until=progress.measured_until)
    if failure is not None and progress.is_recent:
        # What is new has come: that the past is refused makes nobody wait for the next value.
        answered = {"answered_at": now, "failures": 0, "is_behind": False}
        return msgspec.structs.replace(asked, error=f"older history: {failure.reason}", error_at=now, **answered)
    if failure is not None:
        return msgspec.structs.replace(
            asked, failures=state.failures + 1, error=failure.reason, error_at=now, is_behind=False
        )
    return msgspec.structs.replace(
        asked, answered_at=now, failures=0, error=None, error_at=None, is_behind=progress.is_behind
    )


@asynccontextmanager
async def _closing(outcomes: AsyncIterator[Outcome]) -> AsyncIterator[AsyncIterator[Outcome]]:
    """`outcomes`, ended in order wherever we stop listening."""
    try:
        yield outcomes
    finally:
        if isinstance(outcomes, AsyncGenerator):
            await outcomes.aclose()
