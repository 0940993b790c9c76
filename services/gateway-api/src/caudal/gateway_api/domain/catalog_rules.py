"""What a point and a provider must be before they enter the catalog."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from caudal.common.domain.catalog import Point, Provider, ProviderType, Rules, Variable, checked_zone
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import checked_id
from caudal.common.domain.payloads.mapping import mapping_from
from caudal.common.domain.payloads.reader import Reader
from caudal.common.domain.payloads.times import EARLIEST
from caudal.common.domain.provider_feeds import feed_settings
from caudal.common.domain.providers import provider_settings
from caudal.gateway_api.domain.merging import refuse_unprintable
from caudal.gateway_api.domain.texts import MAX_TEXT, check_text
from caudal.gateway_api.domain.variable_rules import checked_variable

MAX_VARIABLES = 200
"""Of one point."""
MAX_MAPPING_BYTES = 65_536
"""Of a mapping, as JSON."""
MAX_SAMPLING_MINUTES = 525_600.0
"""A year."""
MAX_ROWS = 2**31 - 1
"""Of a point's series."""
MAX_GAP_FACTOR = 1000.0
"""A thousand times a year is still a time that a clock can go back."""
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
    check_text(point.name, "name")
    _check_place(point)
    checked_zone(point.time_zone, "time_zone")
    _check_mapping(point.mapping, point.time_zone)
    if not 0 < point.sampling_minutes <= MAX_SAMPLING_MINUTES:
        raise InvalidInput("sampling_minutes", f"must be above 0 and at most {MAX_SAMPLING_MINUTES:.0f}")
    _check_rules(point.rules)
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


def checked_provider(provider: Provider) -> Provider:
    """`provider`, if it may enter the catalog.

    Raises:
        InvalidInput: it may not; the error names the field.
    """
    refuse_unprintable(msgspec.to_builtins(provider))
    checked_id(provider.code, "code")
    check_text(provider.name, "name")
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


def _check_rules(rules: Rules) -> None:
    if not 1 <= rules.gap_factor <= MAX_GAP_FACTOR:
        raise InvalidInput("rules.gap_factor", f"must be 1 to {MAX_GAP_FACTOR:.0f}")
    for field in ("flow_total_tolerance", "level_change_m"):
        if getattr(rules, field) < 0:
            raise InvalidInput(f"rules.{field}", "must not be below 0")


def _check_source(point: Point) -> None:
    if point.source is None:
        return
    if point.provider is None:
        raise InvalidInput("source", "needs a provider, who is to be asked")
    if not 1 <= len(point.source.remote_id) <= MAX_TEXT:
        raise InvalidInput("source.remote_id", f"has 1 to {MAX_TEXT} characters")
    if not 1 <= len(point.source.keys) <= MAX_VARIABLES:
        raise InvalidInput("source.keys", f"names 1 to {MAX_VARIABLES} variables")
    if point.source.history_from is not None and point.source.history_from < EARLIEST:
        raise InvalidInput("source.history_from", f"must not lie before {EARLIEST.date()}")
    for code, key in point.source.keys.items():
        checked_id(code, "source.keys")
        if not 1 <= len(key) <= MAX_TEXT:
            raise InvalidInput(f"source.keys.{code}", f"has 1 to {MAX_TEXT} characters")


def _check_mapping(mapping: str | Mapping[str, Any] | None, zone: str) -> None:
    """As ingest will judge it, before a payload comes that it cannot read."""
    if mapping is not None:
        reader_of(mapping, zone)


def reader_of(mapping: str | Mapping[str, Any], zone: str | None) -> Reader:
    """What reads payloads by `mapping`, if it may enter the catalog.

    Raises:
        InvalidInput: it may not, or the zone is none; the error names the field.
    """
    if zone is not None:
        checked_zone(zone, "time_zone")
    refuse_unprintable({"mapping": mapping})
    if not mapping:
        raise InvalidInput("mapping", "is empty: name a preset, or say how payloads are read")
    if len(msgspec.json.encode(mapping)) > MAX_MAPPING_BYTES:
        raise InvalidInput("mapping", f"is longer than {MAX_MAPPING_BYTES} bytes")
    return Reader(mapping_from(mapping if isinstance(mapping, str) else dict(mapping)), zone)
