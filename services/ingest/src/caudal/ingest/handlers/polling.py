"""A round: every point that is due is asked, each provider at its own pace, none waiting for another."""

import asyncio
from collections.abc import Collection, Mapping, Set
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import structlog

from caudal.common.domain.catalog import Point, PointStatus
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.ports import Clock
from caudal.ingest.domain.schedule import Complete, PointState
from caudal.ingest.handlers.asking import POINT_S, Asked, Asker
from caudal.ingest.handlers.turns import Entries, Turn, due_by_provider, is_asked, state_after
from caudal.ingest.ports import Failed, Fleet, PollingRecord, ProviderClients, ProviderState, Secrets

ROUND_S = 1800.0
"""A round that takes longer is given up; whom it has not asked is due in the next one."""
TURN_S = ROUND_S - POINT_S - 60.0
"""So long after a round began no further point is asked for in it, so that it ends in order."""
LOOK_S = 1.0
"""How often it is looked who is through while others still have their turn."""
KEPT_AT_ONCE = 50
"""Points after which the record hears how they are doing."""

_log = structlog.get_logger(__name__)


class Round(msgspec.Struct):
    """What a round came to."""

    points: int = 0
    """Asked."""
    failed: int = 0
    readings: int = 0
    """Handed on."""


class Running(NamedTuple):
    """A turn that somebody has at the moment."""

    turn: Turn
    task: asyncio.Task[None]


class Polling:
    """Asks all providers.

    Args:
        fleet: Who is to be asked for what.
        secrets: What providers want to hear from us.
        clients: How each is asked.
        record: What was asked before.
        asker: Asks for one point.
        clock: What time it is.
        every: How soon a provider's next turn comes where another one's makes a round long.
        at_once: Points of one provider asked for at once.
        holder: Our name among replicas: one of them has a round under way, never two.
    """

    def __init__(
        self,
        fleet: Fleet,
        secrets: Secrets,
        clients: ProviderClients,
        record: PollingRecord,
        asker: Asker,
        clock: Clock,
        *,
        every: timedelta,
        at_once: int,
        holder: str,
    ) -> None:
        self._fleet = fleet
        self._secrets = secrets
        self._clients = clients
        self._record = record
        self._asker = asker
        self._clock = clock
        self._every = every
        self._at_once = at_once
        self._holder = holder
        self._round = asyncio.Lock()
        # The record lets us begin again what a crash of ours cut short: it cannot tell that a round is under way here.
        self._entries = Entries()
        self._ordered: set[str] = set()
        self.ordered = asyncio.Event()
        """Set while somebody has ordered a round that has not been."""

    def order(self, provider: str) -> None:
        """Have the next round begin as soon as it can, and ask for all points of `provider` in it, due or not."""
        self._ordered.add(provider)
        self.ordered.set()

    async def round(self, gap: timedelta) -> Round | None:
        """Ask for every point that is due; None: a round is under way, or began less than `gap` ago.

        Where somebody ordered a provider to be asked, the gap does not matter. What is ordered stays so until a round
        that began after it is done.

        Raises:
            Transient: the record, the catalog or the bus is away; whom it has not asked is due again.
        """
        if self._round.locked():
            return None
        async with self._round:
            return await self._begun(gap)

    async def _begun(self, gap: timedelta) -> Round | None:
        now = self._clock.now()
        until = now + timedelta(seconds=ROUND_S)
        if not await self._record.begin(self._holder, now, until, now if self._ordered else now - gap):
            return None
        ordered = self._taken_orders(())
        done: Round | None = None
        try:
            async with asyncio.timeout(ROUND_S):
                done = await self._turns(now, ordered)
        except TimeoutError as error:
            raise Transient(f"the round took more than {ROUND_S:.0f} s") from error
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            if done is None:
                self._order_again(ordered)
            await self._record.end(self._holder, is_done=done is not None)
        _log.info("providers asked", points=done.points, failed=done.failed, readings=done.readings)
        return done

    def _order_again(self, ordered: Set[str]) -> None:
        for provider in ordered:
            self.order(provider)

    def _taken_orders(self, busy: Collection[str]) -> set[str]:
        """Providers that were ordered, but for those that have their turn already: theirs comes after it."""
        taken = self._ordered.difference(busy)
        self._ordered -= taken
        if not self._ordered:
            self.ordered.clear()
        return taken

    async def _turns(self, begun: datetime, ordered: set[str]) -> Round:
        """Everybody's turn. While one provider's lasts, the others have their next: none waits for another."""
        done, running = Round(), dict[str, Running]()
        latest = begun + timedelta(seconds=TURN_S)
        async with asyncio.TaskGroup() as group:
            looked_at, now = begun, ordered
            while True:
                for turn in await self._due(now, latest, running):
                    code = turn.provider.code
                    running[code] = Running(turn, group.create_task(self._turn(turn, done), name=f"ask {code}"))
                running = await self._while_running(running, looked_at)
                if not running or self._clock.now() >= latest:
                    return done
                looked_at, now = self._clock.now(), self._taken_orders(running)
                ordered |= now

    async def _while_running(self, running: dict[str, Running], looked_at: datetime) -> dict[str, Running]:
        """Wait until all are through, or it is time to look who else is due; those that are still running."""
        while running:
            await asyncio.wait([each.task for each in running.values()], timeout=LOOK_S)
            running = {code: each for code, each in running.items() if not each.task.done()}
            if self._clock.now() - looked_at >= self._every or self._ordered.difference(running):
                break
        return running

    async def _due(self, ordered: Set[str], latest: datetime, busy: Mapping[str, Running]) -> list[Turn]:
        """A turn for each provider that has points to be asked for, and has none at the moment; the others catch up."""
        now = self._clock.now()
        providers = {each.code: each for each in await self._fleet.providers() if is_asked(each)}
        points = [point for point in await self._fleet.sourced() if point.status is not PointStatus.INACTIVE]
        asked = [point.code for point in points]
        await self._record.tidy(asked, await self._fleet.codes())
        self._asker.refused.forget_others(asked)
        remembered, states = await self._record.points(), await self._record.providers()
        complete, vault = await self._complete(), await self._secrets.vault()
        for code, running in busy.items():
            running.turn.catch_up(providers.get(code), {point.code: point for point in points}, vault)
        changed = self._entries.changed(providers.values(), points, vault)
        due = due_by_provider(points, remembered, now, ordered, changed)
        turns: list[Turn] = []
        for code in sorted(providers.keys() & due.keys() - busy.keys()):
            state = states.get(code) or ProviderState(provider=code)
            if code in ordered or ("provider", code) in changed:
                state = msgspec.structs.replace(state, breaker=state.breaker.tried_at(now))
            turns.append(
                Turn(
                    provider=providers[code],
                    due=iter(due[code]),
                    state=state,
                    complete=complete,
                    vault=vault,
                    until=latest,
                )
            )
        return turns

    async def _complete(self) -> dict[str, Complete]:
        """By point, how far it is complete."""
        since, until = await self._record.histories(), await self._record.cursors()
        return {point: Complete(since.get(point, {}), until.get(point, {})) for point in since.keys() | until.keys()}

    async def _turn(self, turn: Turn, done: Round) -> None:
        """Ask one provider for all that is due: one point first, where that decides whether it is asked for others."""
        if turn.state.breaker.is_probing():
            await self._ask_next(turn, done)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._ask_on(turn, done))
        await self._keep(turn)

    async def _ask_on(self, turn: Turn, done: Round) -> None:
        while await self._ask_next(turn, done):
            if len(turn.asked) >= KEPT_AT_ONCE:
                await self._keep(turn)

    async def _ask_next(self, turn: Turn, done: Round) -> bool:
        """Ask for the next point; False: there is none, or the provider is to be left alone."""
        now = self._clock.now()
        if now >= turn.until or not turn.state.breaker.allows(now):
            return False
        point, state = next(turn.due, (None, None))
        if point is None or state is None:
            return False
        asked = await self._asked(turn, point, state)
        done.points += 1
        done.readings += asked.readings
        done.failed += asked.failure is not None
        turn.asked.append(asked.state)
        turn.state = state_after(turn.state, asked.failure, self._clock.now())
        return True

    async def _asked(self, turn: Turn, point: Point, state: PointState) -> Asked:
        try:
            client = self._clients.of(turn.provider, point.code, turn.vault)
        except Permanent as error:
            return self._not_asked(state, str(error))
        except Exception as error:  # noqa: BLE001 - a fault with one entry is not another's
            _log.error("no client", point=point.code, provider=point.provider, error=type(error).__name__)
            return self._not_asked(state, f"our client failed: {type(error).__name__}")
        return await self._asker.ask(client, point, state, turn.complete.get(point.code, Complete({}, {})))

    def _not_asked(self, state: PointState, reason: str) -> Asked:
        now, failures = self._clock.now(), state.failures + 1
        failed = msgspec.structs.replace(state, asked_at=now, failures=failures, error=reason, error_at=now)
        return Asked(failed, Failed(reason=reason, is_transient=False), 0)

    async def _keep(self, turn: Turn) -> None:
        asked, turn.asked = turn.asked, []
        await self._record.asked(asked, turn.state)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first error in a group of groups."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
