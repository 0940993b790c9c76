"""How a counter's readings become one continuous total, through restarts, glitches, jitter, wraps and meter swaps.

A fall, or a rise too steep to believe, is *in doubt* until a later reading decides what it was. Meanwhile the total
is held (fall) or kept with a flag (rise), and the verdict, when it comes, is a `Settlement` of the readings in doubt.
So the verdict on a reading depends on what follows it, never on the order of arrival.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from caudal.common.bus.messages import ProcessedValue
from caudal.common.domain.catalog import CounterKind, MeterSwap
from caudal.common.domain.readings import Flag
from caudal.processor.domain.pulses import Constants

JITTER_SHARE = 0.01
"""A fall of less than this share of the value is jitter. Source: DOMAIN, counters."""

_VERDICTS = frozenset({Flag.ZERO_TOTAL_RESET, Flag.UNCONFIRMED, Flag.GLITCH, Flag.COUNTER_WRAP, Flag.IMPLAUSIBLE_RISE})


class CounterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one counter, ready for use."""

    constants: Constants = Constants()
    kind: CounterKind = CounterKind.TOTAL
    register: float | None = None
    """2ⁿ for a register of n bits that is known to wrap."""
    max_flow_lps: float
    swaps: tuple[MeterSwap, ...] = ()
    gap_s: float
    """A longer silence than this is a gap: a rise across it is not judged."""
    start_m3: float = 0.0
    """Volume before the first count."""

    def is_plausible(self, counts: float, seconds: float) -> bool:
        """Whether so many counts can come in that time: at most the greatest flow, and one count for the rounding."""
        return self.constants.volume_m3(counts - 1) <= self.max_flow_lps * seconds / 1000.0


class Doubt(StrEnum):
    """Why a count is not believed yet."""

    FALL = "fall"
    RISE = "rise"


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """A run of counts that the next ones will judge."""

    doubt: Doubt
    since: datetime
    """The first reading in doubt."""
    restart_at: datetime
    """Fall: where the lowest count was first seen; the restart, if it was one."""
    count: float
    """Fall: the lowest count since; rise: the count in doubt."""
    at: datetime
    """The last reading in doubt."""


class CounterState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has to be known of the past to read the next count."""

    counter: float
    """The last good count; never one in doubt."""
    at: datetime
    """When it was read."""
    seen_at: datetime
    """The last reading of this counter, good or not."""
    offset: float = 0.0
    """Counts gathered before the last restart."""
    constants: Constants = Constants()
    """Those in force; a change of them must not move the total gathered so far."""
    carried_m3: float = 0.0
    """Volume that `offset` and `counter` do not explain under the present constants."""
    suspect: Suspect | None = None

    @property
    def total_m3(self) -> float:
        """The continuous total at the last good count, m³."""
        return self.carried_m3 + self.constants.volume_m3(self.offset + self.counter)


class Verdict(StrEnum):
    """What became of readings in doubt."""

    PENDING = "pending"
    GLITCH = "glitch"
    RESTART = "restart"
    WRAP = "wrap"
    CONFIRMED = "confirmed"


class Settlement(msgspec.Struct, frozen=True):
    """A verdict on the readings of one variable in [since, until)."""

    variable: str
    suspect: Suspect
    until: datetime
    verdict: Verdict
    held_m3: float
    """The total at the last good count before them, m³."""
    carried_m3: float
    """As in `CounterState`, after the verdict."""
    offset: float
    """As in `CounterState`, after the verdict."""
    constants: Constants

    def total_at(self, count: float) -> float:
        """The continuous total at this count, m³, if the count is good."""
        return self.carried_m3 + self.constants.volume_m3(self.offset + count)


class Advance(msgspec.Struct, frozen=True):
    """What one count changed."""

    state: CounterState
    total_m3: float
    flags: tuple[Flag, ...] = ()
    settlement: Settlement | None = None


def advance(state: CounterState | None, count: float, at: datetime, plan: CounterPlan, variable: str) -> Advance:
    """Read one count, later than all before.

    Args:
        state: What the counts before left behind; None for the first.
        count: As the device gave it; the first is 0 or more, a later negative one is a glitch.
        at: When it was measured.
        plan: The counter's configuration.
        variable: Whose settlement it is.
    """
    if state is None:
        return _first(count, at, plan)
    revalued = None
    if state.constants != plan.constants:
        state = _with_constants(state, plan.constants)
        revalued = pending(state, variable, at)
    if plan.kind is CounterKind.DELTA:
        return _add(state, count, at, plan, variable)
    state, swapped, settlement = _pass_swaps(state, at, plan, variable)
    settlement = settlement or revalued
    if count < 0:
        held = msgspec.structs.replace(state, seen_at=at)
        return Advance(held, state.total_m3, (*swapped, Flag.GLITCH), settlement)
    if state.suspect is not None:
        decided = _decide(state, state.suspect, count, at, plan, variable)
        if decided is None:
            step = _still_in_doubt(state, state.suspect, count, at)
            return msgspec.structs.replace(step, settlement=settlement) if settlement else step
        state, settlement = decided
    step = _judge(state, count, at, plan)
    if settlement is None and not swapped:
        return step
    return Advance(step.state, step.total_m3, (*swapped, *step.flags), settlement)


def _first(count: float, at: datetime, plan: CounterPlan) -> Advance:
    is_delta = plan.kind is CounterKind.DELTA
    state = CounterState(
        counter=0.0 if is_delta else count,
        at=at,
        seen_at=at,
        offset=count if is_delta else 0.0,
        constants=plan.constants,
        carried_m3=plan.start_m3,
    )
    return Advance(state, state.total_m3)


def _with_constants(state: CounterState, constants: Constants) -> CounterState:
    """The same total under other constants, by which counts still in doubt are judged as well."""
    carried = state.total_m3 - constants.volume_m3(state.offset + state.counter)
    return msgspec.structs.replace(state, constants=constants, carried_m3=carried)


def _add(state: CounterState, count: float, at: datetime, plan: CounterPlan, variable: str) -> Advance:
    """A device that gives what came since its last reading; doubts from when it counted otherwise end unconfirmed."""
    settlement = None
    if state.suspect is not None:
        settlement = _settlement(state, state.suspect, Verdict.GLITCH, at, variable)
        state = msgspec.structs.replace(state, suspect=None)
    if count < 0:
        return Advance(msgspec.structs.replace(state, seen_at=at), state.total_m3, (Flag.GLITCH,), settlement)
    # No later count can judge a difference, so one that is too large is flagged and added all the same.
    seconds = (at - state.at).total_seconds()
    flags = () if plan.is_plausible(count, seconds) or seconds > plan.gap_s else (Flag.IMPLAUSIBLE_RISE,)
    state = msgspec.structs.replace(state, offset=state.offset + count, at=at, seen_at=at)
    return Advance(state, state.total_m3, flags, settlement)


def _pass_swaps(
    state: CounterState, at: datetime, plan: CounterPlan, variable: str
) -> tuple[CounterState, tuple[Flag, ...], Settlement | None]:
    """Apply the declared swaps between the last reading and this one; they overrule any doubt."""
    passed = [swap for swap in plan.swaps if state.seen_at < swap.at <= at]
    if not passed:
        return state, (), None
    settlement = None
    if state.suspect is not None:
        settlement = _settlement(state, state.suspect, Verdict.GLITCH, at, variable)
    for swap in passed:
        state = msgspec.structs.replace(
            state,
            offset=state.offset + state.counter - swap.starts_at,
            counter=swap.starts_at,
            at=swap.at,
            suspect=None,
        )
    return state, (Flag.METER_SWAP,), settlement


def _decide(
    state: CounterState, suspect: Suspect, count: float, at: datetime, plan: CounterPlan, variable: str
) -> tuple[CounterState, Settlement] | None:
    """What this count says about the readings in doubt: the state without doubt and the verdict; None: still open."""
    if suspect.doubt is Doubt.RISE:
        verdict = Verdict.CONFIRMED if count >= suspect.count else Verdict.GLITCH
        offset = state.offset
    elif count >= state.counter:
        verdict, offset = Verdict.GLITCH, state.offset
    elif count < suspect.count or count <= 0:
        return None
    elif plan.register and plan.is_plausible(
        plan.register - state.counter + suspect.count, (suspect.restart_at - state.at).total_seconds()
    ):
        verdict, offset = Verdict.WRAP, state.offset + plan.register
    else:
        verdict, offset = Verdict.RESTART, state.offset + state.counter
    settlement = _settlement(state, suspect, verdict, at, variable, offset)
    if verdict is Verdict.GLITCH:
        return msgspec.structs.replace(state, suspect=None), settlement
    counter, read_at = suspect.count, suspect.at
    return msgspec.structs.replace(state, suspect=None, offset=offset, counter=counter, at=read_at), settlement


def _settlement(
    state: CounterState, suspect: Suspect, verdict: Verdict, until: datetime, variable: str, offset: float | None = None
) -> Settlement:
    return Settlement(
        variable=variable,
        suspect=suspect,
        until=until,
        verdict=verdict,
        held_m3=state.total_m3,
        carried_m3=state.carried_m3,
        offset=state.offset if offset is None else offset,
        constants=state.constants,
    )


def _still_in_doubt(state: CounterState, suspect: Suspect, count: float, at: datetime) -> Advance:
    """Another count as low as the lowest since the fall, or lower."""
    restart_at = at if count < suspect.count else suspect.restart_at
    suspect = Suspect(suspect.doubt, suspect.since, restart_at, count, at)
    return Advance(msgspec.structs.replace(state, seen_at=at, suspect=suspect), state.total_m3, (Flag.UNCONFIRMED,))


def _judge(state: CounterState, count: float, at: datetime, plan: CounterPlan) -> Advance:
    """One count against the last good one, no doubt standing."""
    growth = count - state.counter
    seconds = (at - state.at).total_seconds()
    if growth >= 0:
        if plan.is_plausible(growth, seconds) or seconds > plan.gap_s:
            return _accept(state, count, at)
        rise = Suspect(Doubt.RISE, at, at, count, at)
        risen = state.carried_m3 + state.constants.volume_m3(state.offset + count)
        kept = msgspec.structs.replace(state, seen_at=at, suspect=rise)
        return Advance(kept, risen, (Flag.IMPLAUSIBLE_RISE, Flag.UNCONFIRMED))
    if -growth < JITTER_SHARE * state.counter:
        return Advance(msgspec.structs.replace(state, seen_at=at), state.total_m3, (Flag.JITTER,))
    if plan.register and count > 0 and plan.is_plausible(plan.register + growth, seconds):
        wrapped = msgspec.structs.replace(state, offset=state.offset + plan.register)
        step = _accept(wrapped, count, at)
        return Advance(step.state, step.total_m3, (Flag.COUNTER_WRAP,))
    fall = Suspect(Doubt.FALL, at, at, count, at)
    kept = msgspec.structs.replace(state, seen_at=at, suspect=fall)
    return Advance(kept, state.total_m3, (Flag.ZERO_TOTAL_RESET, Flag.UNCONFIRMED))


def _accept(state: CounterState, count: float, at: datetime) -> Advance:
    state = CounterState(
        counter=count,
        at=at,
        seen_at=at,
        offset=state.offset,
        constants=state.constants,
        carried_m3=state.carried_m3,
    )
    return Advance(state, state.total_m3)


def pending(state: CounterState, variable: str, until: datetime | None = None) -> Settlement | None:
    """The verdict "still open" on the readings that this state holds in doubt, those before `until`."""
    if state.suspect is None:
        return None
    return _settlement(state, state.suspect, Verdict.PENDING, until or state.seen_at, variable)


def settled(value: ProcessedValue, at: datetime, settlement: Settlement) -> ProcessedValue:
    """`value`, measured at `at` and in doubt, after the verdict. Values that were never in doubt stay as they are."""
    count = value.measured
    if count is None or count < 0 or value.value is None:
        return value
    total, verdict_flags = _judged(count, at, settlement)
    kept = [flag for flag in value.flags if flag not in _VERDICTS]
    return msgspec.structs.replace(value, value=total, flags=sorted({*kept, *verdict_flags}))


def _judged(count: float, at: datetime, settlement: Settlement) -> tuple[float, tuple[Flag, ...]]:
    suspect, verdict = settlement.suspect, settlement.verdict
    if suspect.doubt is Doubt.RISE and verdict in (Verdict.PENDING, Verdict.CONFIRMED):
        open_flags = (Flag.UNCONFIRMED,) if verdict is Verdict.PENDING else ()
        return settlement.total_at(count), (Flag.IMPLAUSIBLE_RISE, *open_flags)
    if verdict is Verdict.PENDING:
        first = (Flag.ZERO_TOTAL_RESET,) if at == suspect.since else ()
        return settlement.held_m3, (*first, Flag.UNCONFIRMED)
    if verdict is Verdict.GLITCH or at < suspect.restart_at:
        return settlement.held_m3, (Flag.GLITCH,)
    flag = Flag.ZERO_TOTAL_RESET if verdict is Verdict.RESTART else Flag.COUNTER_WRAP
    return settlement.total_at(count), (flag,) if at == suspect.restart_at else ()
