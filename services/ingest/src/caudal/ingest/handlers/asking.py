"""Asking a provider for one point: page by page from its cursors on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import structlog

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import CaudalError
from caudal.common.ports import Clock
from caudal.ingest.domain.schedule import PointState, stretches
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.polled import Handed, arrivals_of, refused_of
from caudal.ingest.ports import Answered, Failed, NoData, Outcome, PollingRecord, ProviderClient, Question

POINT_S = 300.0
"""How long one point may take, all its pages together."""
MAX_PAGES = 100
"""Pages fetched for one point in one round; the rest in the next, so that no point keeps the others waiting."""

_log = structlog.get_logger(__name__)


class Reach(NamedTuple):
    """How far back is asked."""

    first: timedelta = timedelta(days=1)
    """The first time."""
    overlap: timedelta = timedelta(hours=1)
    """Before the cursor, each time: rows may appear late at the provider."""


class Asked(msgspec.Struct, frozen=True):
    """What asking for one point came to."""

    state: PointState
    failure: Failed | None
    readings: int
    """Handed on."""


class _Progress:
    """How far one point's asking has come."""

    def __init__(self, state: PointState) -> None:
        self.newest: dict[str, datetime] = {}
        self.measured_until = state.measured_until
        self.readings = self.pages = 0
        self.is_behind = False

    def saw(self, answer: Answered) -> None:
        """Note the newest instant of each variable."""
        for reading in answer.readings:
            for code in reading.values:
                self.newest[code] = max(reading.measured_at, self.newest.get(code, reading.measured_at))
        seen = [at for at in (*self.newest.values(), self.measured_until) if at is not None]
        self.measured_until = max(seen, default=None)


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
        self.handed = Handed()

    async def ask(
        self, client: ProviderClient, point: Point, state: PointState, cursors: Mapping[str, datetime]
    ) -> Asked:
        """Hand on all that the provider has of `point` from its cursors on.

        Raises:
            CaudalError: the bus or the record is away, which is not the provider's fault.
        """
        progress, begun = _Progress(state), self._clock.now()
        try:
            async with asyncio.timeout(POINT_S):
                failure = await self._fetch(client, point, cursors, progress)
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
        return Asked(_state_after(state, progress, failure, begun, self._clock.now()), failure, progress.readings)

    async def _fetch(
        self, client: ProviderClient, point: Point, cursors: Mapping[str, datetime], progress: _Progress
    ) -> Failed | None:
        """Fetch every page; the failure that ended it before the end."""
        assert point.source is not None
        now = self._clock.now()
        for start, keys in stretches(point.source.keys, cursors, now, self._reach.first, self._reach.overlap):
            question = Question(remote_id=point.source.remote_id, keys=keys, start=start, end=now)
            async with _closing(client.history(question)) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, Failed):
                        return outcome
                    await self._keep(point, keys, outcome, progress)
                    if progress.pages >= MAX_PAGES:
                        progress.is_behind = True
                        return None
        return None

    async def _keep(
        self, point: Point, keys: Mapping[str, str], outcome: Answered | NoData, progress: _Progress
    ) -> None:
        """Hand on a page, then move the cursors: as far as it is complete, and never beyond what was measured.

        A device that was cut off hands its provider old values later; they are found because its cursor has stayed.
        """
        progress.pages += 1
        if isinstance(outcome, Answered):
            news = self.handed.news(point.code, outcome.readings)
            rows = self.handed.new_rows(point.code, outcome.unreadable)
            await self._accepting.accept([*arrivals_of(point, news), *refused_of(point, rows)])
            progress.saw(outcome)
            progress.readings += len(news)
            self._remember(point.code, outcome, progress)
        until = outcome.complete_until
        if until is not None:
            moved = {code: min(until, progress.newest[code]) for code in keys if code in progress.newest}
            await self._record.move(point.code, moved, self._clock.now())

    def _remember(self, point: str, answer: Answered, progress: _Progress) -> None:
        self.handed.keep_rows(point, answer.unreadable)
        if progress.measured_until is not None:
            self.handed.keep(point, answer.readings, progress.measured_until - 2 * self._reach.overlap)


def _state_after(
    state: PointState, progress: _Progress, failure: Failed | None, begun: datetime, now: datetime
) -> PointState:
    asked = msgspec.structs.replace(state, asked_at=begun, measured_until=progress.measured_until)
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
