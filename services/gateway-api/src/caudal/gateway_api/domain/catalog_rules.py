"""What a point, a variable and a provider must be before they enter the catalog."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from caudal.common.domain.catalog import (
    Counter,
    MeterSwap,
    Point,
    Provider,
    ProviderType,
    Variable,
    VariableType,
    checked_zone,
)
from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.common.domain.ids import checked_id
from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import Reader
from caudal.common.domain.provider_feeds import feed_settings
from caudal.common.domain.providers import provider_settings
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.intervals import within_bounds
from caudal.gateway_api.domain.merging import refuse_unprintable

MAX_VARIABLES = 200
"""Of one point."""
MAX_SWAPS = 1000
"""Of one counter."""
MAX_SENTINELS = 100
"""Of one variable."""
MAX_TEXT = 200
"""Characters of a name."""
MAX_MAPPING_BYTES = 65_536
"""Of a mapping, as JSON."""
MAX_SAMPLING_MINUTES = 525_600.0
"""A year."""
MAX_ROWS = 2**31 - 1
"""Of a point's series."""
MAX_CONNECTION_BYTES = 16_384
"""Of a connection, and of an authentication, as JSON."""


def checked_point(point: Point) -> Point:
    """`point`, if it may enter the catalog.

    Raises:
        InvalidInput: it may not; the error names the field.
    """
    refuse_unprintable(msgspec.to_builtins(point))
    checked_id(point.code, "code")
    checked_id(point.device, "device")
    if point.provider is not None:
        checked_id(point.provider, "provider")
    _check_text(point.name, "name")
    _check_place(point)
    checked_zone(point.time_zone, "time_zone")
    _check_mapping(point.mapping, point.time_zone)
    if not 0 < point.sampling_minutes <= MAX_SAMPLING_MINUTES:
        raise InvalidInput("sampling_minutes", f"must be above 0 and at most {MAX_SAMPLING_MINUTES:.0f}")
    _check_source(point)
    if point.max_rows is not None and not 1 <= point.max_rows <= MAX_ROWS:
        raise InvalidInput("max_rows", f"must be 1 to {MAX_ROWS}")
    return replace(point, variables=_checked_variables(point.variables))


def _checked_variables(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    if len(variables) > MAX_VARIABLES:
        raise InvalidInput("variables", f"a point may have at most {MAX_VARIABLES}")
    codes = [variable.code for variable in variables]
    for place, code in enumerate(codes):
        if code in codes[:place]:
            raise InvalidInput(f"variables.{place}.code", f"{code[:80]!r} is there twice")
    return tuple(checked_variable(variable, f"variables.{place}.") for place, variable in enumerate(variables))


def checked_variable(variable: Variable, where: str = "") -> Variable:
    """`variable`, with its meter swaps in UTC, if it may enter the catalog.

    Raises:
        InvalidInput: it may not; the error names the field, with `where` before it.
    """
    refuse_unprintable(msgspec.to_builtins(variable))
    checked_id(variable.code, f"{where}code")
    _check_text(variable.name, f"{where}name")
    _check_text(variable.unit, f"{where}unit")
    if len(variable.sentinels) > MAX_SENTINELS:
        raise InvalidInput(f"{where}sentinels", f"at most {MAX_SENTINELS}")
    if variable.counter is None:
        return variable
    if len(variable.counter.swaps) > MAX_SWAPS:
        raise InvalidInput(f"{where}counter.swaps", f"at most {MAX_SWAPS}")
    swaps = tuple(
        replace(swap, at=within_bounds(swap.at, f"{where}counter.swaps.{place}.at"))
        for place, swap in enumerate(variable.counter.swaps)
    )
    return replace(variable, counter=replace(variable.counter, swaps=swaps))


def checked_provider(provider: Provider) -> Provider:
    """`provider`, if it may enter the catalog.

    Raises:
        InvalidInput: it may not; the error names the field.
    """
    refuse_unprintable(msgspec.to_builtins(provider))
    checked_id(provider.code, "code")
    _check_text(provider.name, "name")
    checked_zone(provider.time_zone, "time_zone")
    _check_mapping(provider.mapping, provider.time_zone)
    for field in ("connection", "authentication"):
        if len(msgspec.json.encode(getattr(provider, field))) > MAX_CONNECTION_BYTES:
            raise InvalidInput(field, f"is longer than {MAX_CONNECTION_BYTES} bytes")
    if provider.type is ProviderType.WEBSOCKET:
        feed_settings(provider.connection, provider.authentication)
    elif provider.api is not None:
        provider_settings(provider.api, provider.connection, provider.authentication)
    elif provider.connection or provider.authentication:
        raise InvalidInput("api", "says which kind of API the connection is to: tago, thethings, thingsboard, generic")
    return provider


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
    """
    if any(present.code == variable.code for present in point.variables):
        raise Conflict(f"point {point.code!r} has a variable {variable.code!r} already", "code")
    return replace(point, variables=(*point.variables, variable))


def without_variable(point: Point, code: str) -> Point:
    """The point without one of its variables; raises as `variable_in`."""
    gone = variable_in(point, code)
    return replace(point, variables=tuple(present for present in point.variables if present is not gone))


def with_changed_variable(point: Point, code: str, change: Callable[[Variable], Variable]) -> Point:
    """The point with `change(variable)` in the place of one of its variables; raises as `variable_in`."""
    changing = variable_in(point, code)
    changed = change(changing)
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


def _check_place(point: Point) -> None:
    if (point.latitude is None) != (point.longitude is None):
        raise InvalidInput("longitude", "latitude and longitude go together: give both, or neither")
    for field, value, least, most in (
        ("latitude", point.latitude, -90, 90),
        ("longitude", point.longitude, -180, 180),
        ("altitude_m", point.altitude_m, -500, 9000),
    ):
        if value is not None and not least <= value <= most:
            raise InvalidInput(field, f"must be {least} to {most}")


def _check_text(text: str, field: str) -> None:
    if len(text) > MAX_TEXT:
        raise InvalidInput(field, f"has {len(text)} characters; at most {MAX_TEXT}")


def _check_source(point: Point) -> None:
    if point.source is None:
        return
    if point.provider is None:
        raise InvalidInput("source", "needs a provider, who is to be asked")
    if not 1 <= len(point.source.remote_id) <= MAX_TEXT:
        raise InvalidInput("source.remote_id", f"has 1 to {MAX_TEXT} characters")
    if not 1 <= len(point.source.keys) <= MAX_VARIABLES:
        raise InvalidInput("source.keys", f"names 1 to {MAX_VARIABLES} variables")
    for code, key in point.source.keys.items():
        checked_id(code, "source.keys")
        if not 1 <= len(key) <= MAX_TEXT:
            raise InvalidInput(f"source.keys.{code}", f"has 1 to {MAX_TEXT} characters")


def _check_mapping(mapping: str | Mapping[str, Any] | None, zone: str) -> None:
    """As ingest will judge it, before a payload comes that it cannot read."""
    if mapping is None:
        return
    if not mapping:
        raise InvalidInput("mapping", "is empty: name a preset, or say how payloads are read")
    if len(msgspec.json.encode(mapping)) > MAX_MAPPING_BYTES:
        raise InvalidInput("mapping", f"is longer than {MAX_MAPPING_BYTES} bytes")
    Reader(mapping_from(mapping if isinstance(mapping, str) else dict(mapping)), zone)
