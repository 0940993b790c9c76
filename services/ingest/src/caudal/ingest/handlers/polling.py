"""A round: every point that is due is asked, each provider at its own pace, none waiting for another."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import structlog

from caudal.common.domain.catalog import Point, Provider, ProviderType
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.ports import Clock
from caudal.ingest.domain.schedule import PointState, is_due
from caudal.ingest.handlers.asking import Asked, Asker
from caudal.ingest.ports import Failed, Fleet, PollingRecord, ProviderClients, ProviderState, Secrets, Vault

ROUND_S = 1800.0
"""A round that takes longer is given up; whom it has not asked is due in the next one."""
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


@dataclass(kw_only=True)
class Turn:
    """A provider's turn in a round."""

    provider: Provider
    due: Iterator[tuple[Point, PointState]]
    """Points that are to be asked for."""
    state: ProviderState
    cursors: Mapping[str, Mapping[str, datetime]]
    vault: Vault
    asked: list[PointState] = field(default_factory=list)
    """Points that the record has not heard of yet."""


class Polling:
    """Asks all providers.

    Args:
        fleet: Who is to be asked for what.
        secrets: What providers want to hear from us.
        clients: How each is asked.
        record: What was asked before.
        asker: Asks for one point.
        clock: What time it is.
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
        at_once: int,
        holder: str,
    ) -> None:
        self._fleet = fleet
        self._secrets = secrets
        self._clients = clients
        self._record = record
        self._asker = asker
        self._clock = clock
        self._at_once = at_once
        self._holder = holder
        self._round = asyncio.Lock()
        # The record lets us begin again what a crash of ours cut short: it cannot tell that a round is under way here.
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
        ordered, self._ordered = self._ordered, set()
        self.ordered.clear()
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

    async def _turns(self, now: datetime, ordered: Set[str]) -> Round:
        providers = [provider for provider in await self._fleet.providers() if is_asked(provider)]
        points = await self._fleet.sourced()
        await self._record.tidy([point.code for point in points])
        self._asker.handed.forget_others([point.code for point in points])
        remembered, states = await self._record.points(), await self._record.providers()
        cursors, vault, done = await self._record.cursors(), await self._secrets.vault(), Round()
        due = due_by_provider(points, remembered, now, ordered)
        async with asyncio.TaskGroup() as turns:
            for provider in providers:
                if due.get(provider.code):
                    state = states.get(provider.code) or ProviderState(provider=provider.code)
                    turn = Turn(
                        provider=provider, due=iter(due[provider.code]), state=state, cursors=cursors, vault=vault
                    )
                    turns.create_task(self._turn(turn, done), name=f"ask {provider.code}")
        return done

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
        if not turn.state.breaker.allows(self._clock.now()):
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
            now = self._clock.now()
            failure = Failed(reason=str(error), is_transient=False)
            failed = msgspec.structs.replace(
                state, asked_at=now, failures=state.failures + 1, error=failure.reason, error_at=now
            )
            return Asked(failed, failure, 0)
        return await self._asker.ask(client, point, state, turn.cursors.get(point.code, {}))

    async def _keep(self, turn: Turn) -> None:
        asked, turn.asked = turn.asked, []
        await self._record.asked(asked, turn.state)


def is_asked(provider: Provider) -> bool:
    """Whether this provider is asked in every round."""
    is_http = provider.type is ProviderType.HTTP_API and provider.api is not None
    return is_http and provider.active and not provider.testing


def due_by_provider(
    points: Sequence[Point], remembered: Mapping[str, PointState], now: datetime, ordered: Set[str] = frozenset()
) -> dict[str, list[tuple[Point, PointState]]]:
    """Points that are to be asked for now, with what is remembered of them, by provider; all of those `ordered`."""
    due: dict[str, list[tuple[Point, PointState]]] = {}
    for point in points:
        state = remembered.get(point.code)
        if not point.provider:
            continue
        sampling = timedelta(minutes=point.sampling_minutes)
        if point.provider in ordered or is_due(point.code, sampling, state, now):
            known = state or PointState(point=point.code, provider=point.provider)
            known = msgspec.structs.replace(known, provider=point.provider)
            due.setdefault(point.provider, []).append((point, known))
    return due


def state_after(state: ProviderState, failure: Failed | None, now: datetime) -> ProviderState:
    """What is remembered of a provider after one more answer or failure."""
    if failure is None:
        return ProviderState(provider=state.provider, connected_at=now)
    failed = msgspec.structs.replace(state, error=failure.reason, error_at=now)
    if not failure.is_transient:
        # It is there, and says no: others may be asked for.
        return msgspec.structs.replace(failed, breaker=state.breaker.answered())
    return msgspec.structs.replace(failed, breaker=state.breaker.failed(now, failure.retry_after_s))


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first error in a group of groups."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
