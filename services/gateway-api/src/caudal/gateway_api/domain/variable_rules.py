"""What a variable must be before it enters the catalog, and how those of a point change."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import msgspec

from caudal.common.domain.catalog import Counter, MeterSwap, Point, Variable, VariableType
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.domain.ids import checked_id
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.intervals import within_bounds
from caudal.gateway_api.domain.merging import refuse_unprintable
from caudal.gateway_api.domain.texts import check_text

MAX_SWAPS = 1000
"""Of one counter."""
MAX_SENTINELS = 100
"""Of one variable."""
MAX_DEPTH_M = 10_000.0
"""Of a probe."""
MOST = 1e12
"""Of a factor, of its reciprocal, and of what is added."""
COUNTED = (VariableType.TOTALIZER, VariableType.FLOW, VariableType.AVERAGE_FLOW)
"""What a counter can be behind of."""


def checked_variable(variable: Variable, where: str = "") -> Variable:
    """`variable`, with its meter swaps in UTC, if it may enter the catalog.

    Raises:
        InvalidInput: it may not; the error names the field, with `where` before it.
    """
    refuse_unprintable(msgspec.to_builtins(variable))
    checked_id(variable.code, f"{where}code")
    check_text(variable.name, f"{where}name")
    check_text(variable.unit, f"{where}unit")
    if len(variable.sentinels) > MAX_SENTINELS:
        raise InvalidInput(f"{where}sentinels", f"at most {MAX_SENTINELS}")
    _check_sizes(variable, where)
    _check_level(variable, where)
    if variable.counter is None:
        return variable
    if variable.type not in COUNTED:
        raise InvalidInput(f"{where}counter", f"only {', '.join(COUNTED)} are counted, not {variable.type}")
    return replace(variable, counter=_checked_counter(variable.counter, f"{where}counter."))


def checked_swap(swap: MeterSwap, where: str = "") -> MeterSwap:
    """`swap` in UTC, if it may enter the catalog.

    Raises:
        InvalidInput: it may not; the error names the field, with `where` before it.
    """
    if not 0 <= swap.starts_at <= MOST:
        raise InvalidInput(f"{where}starts_at", f"must be 0 to {MOST:.0e}")
    check_text(swap.note, f"{where}note")
    return replace(swap, at=within_bounds(swap.at, f"{where}at"))


def _checked_counter(counter: Counter, where: str) -> Counter:
    if len(counter.swaps) > MAX_SWAPS:
        raise InvalidInput(f"{where}swaps", f"at most {MAX_SWAPS}")
    swaps = tuple(checked_swap(swap, f"{where}swaps.{place}.") for place, swap in enumerate(counter.swaps))
    return replace(counter, swaps=swaps)


def _check_sizes(variable: Variable, where: str) -> None:
    """What values are multiplied with must leave them numbers."""
    meter = variable.counter.meter if variable.counter is not None else None
    factors = {"scale": abs(variable.scale)}
    if meter is not None:
        factors["counter.meter.pulses_per_liter"] = meter.pulses_per_liter
        factors["counter.meter.calibration_factor"] = meter.calibration_factor
    for field, factor in factors.items():
        if not 1 / MOST <= factor <= MOST:
            raise InvalidInput(f"{where}{field}", f"must be {1 / MOST:.0e} to {MOST:.0e} in size")
    if abs(variable.shift) > MOST:
        raise InvalidInput(f"{where}shift", f"must be at most {MOST:.0e} in size")


def _check_level(variable: Variable, where: str) -> None:
    depth_m, limits = variable.sensor_depth_m, variable.limits
    is_level = variable.type is VariableType.LEVEL
    if depth_m is not None and not (is_level and 0 < depth_m <= MAX_DEPTH_M):
        raise InvalidInput(f"{where}sensor_depth_m", f"is of a level only, and above 0 and at most {MAX_DEPTH_M:.0f}")
    if limits is None:
        return
    if limits.reset_above is not None and not is_level:
        raise InvalidInput(f"{where}limits.reset_above", "is of a level only")
    below, above = limits.alert_below, limits.alert_above
    if below is not None and above is not None and below > above:
        raise InvalidInput(f"{where}limits.alert_below", f"{below} is above alert_above {above}")


def variable_in(point: Point, code: str) -> Variable:
    """The point's variable of this code.

    Raises:
        NotFound: it has none.
    """
    for variable in point.variables:
        if variable.code == code:
            return variable
    raise NotFound("variable", f"{point.code}/{code}")


def with_variable(point: Point, variable: Variable) -> Point:
    """The point with one more variable.

    Raises:
        Conflict: it has one of this code.
        InvalidInput: the variable may not enter the catalog.
    """
    if any(present.code == variable.code for present in point.variables):
        raise Conflict(f"point {point.code!r} has a variable {variable.code!r} already", "code")
    return replace(point, variables=(*point.variables, checked_variable(variable)))


def without_variable(point: Point, code: str) -> Point:
    """The point without one of its variables; raises as `variable_in`."""
    gone = variable_in(point, code)
    return replace(point, variables=tuple(present for present in point.variables if present is not gone))


def with_changed_variable(point: Point, code: str, change: Callable[[Variable], Variable]) -> Point:
    """The point with `change(variable)` in the place of one of its variables; raises as `variable_in`."""
    changing = variable_in(point, code)
    changed = checked_variable(change(changing))
    return replace(point, variables=tuple(changed if present is changing else present for present in point.variables))


def with_swap(variable: Variable, swap: MeterSwap) -> Variable:
    """The variable with one more meter swap, in order of time.

    Raises:
        InvalidInput: the variable counts nothing.
        Conflict: a swap at this instant is there already.
    """
    if not counts(variable):
        raise InvalidInput("variable", f"{variable.code!r} has no counter, so it has no meter to swap")
    if has_swap(variable, swap.at):
        raise Conflict("a meter swap at this instant is declared already", "at")
    counter = variable.counter or Counter()
    swaps = tuple(sorted((*counter.swaps, swap), key=lambda present: present.at))
    return replace(variable, counter=replace(counter, swaps=swaps))


def without_swap(variable: Variable, at: datetime) -> Variable:
    """The variable without the meter swap at `at`."""
    if variable.counter is None:
        return variable
    swaps = tuple(swap for swap in variable.counter.swaps if swap.at != at)
    return replace(variable, counter=replace(variable.counter, swaps=swaps))


def counts(variable: Variable) -> bool:
    """Whether there is a meter behind it that can be swapped."""
    return variable.counter is not None or variable.type is VariableType.TOTALIZER


def has_swap(variable: Variable, at: datetime) -> bool:
    """Whether a swap of its meter at `at` is declared."""
    return variable.counter is not None and any(swap.at == at for swap in variable.counter.swaps)
