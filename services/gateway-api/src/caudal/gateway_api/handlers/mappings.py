"""Trying a mapping: what it makes of a payload, before anything depends on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caudal.common.domain.payloads.reader import Measurement
from caudal.common.domain.payloads.refusals import Unreadable
from caudal.gateway_api.domain.catalog_rules import reader_of

SHOWN = 100
"""Readings, and reasons, that are shown at most."""


@dataclass(frozen=True, slots=True)
class MappingTrial:
    """What a mapping makes of a payload."""

    readings: list[Measurement]
    """The first ones."""
    refused: list[Unreadable]
    """The first reasons why parts of it are no readings."""
    readings_found: int
    parts_refused: int


def try_mapping(
    mapping: str | Mapping[str, Any], zone: str | None, payload: Any, received_at: datetime
) -> MappingTrial:
    """What `mapping` makes of a payload that came at `received_at`; nothing is kept.

    Raises:
        InvalidInput: it is no mapping, or the zone is none; the error names the field.
    """
    outcome = reader_of(mapping, zone).read(payload, received_at)
    return MappingTrial(outcome.readings[:SHOWN], outcome.refused[:SHOWN], len(outcome.readings), len(outcome.refused))
