"""Trying a mapping, as bodies."""

from datetime import datetime
from typing import Any

from pydantic import ConfigDict

from caudal.gateway_api.entrypoints.schemas.asking import TrialRefusal
from caudal.gateway_api.entrypoints.schemas.catalog import Mapping
from caudal.gateway_api.entrypoints.schemas.common import Body, Instant, Shown
from caudal.gateway_api.handlers.mappings import MappingTrial

TRIAL_EXAMPLE: dict[str, Any] = {
    "mapping": {"device": "equipo", "time": {"path": "fecha"}, "decimal": ",", "values": {"flow": {"path": "caudal"}}},
    "time_zone": "America/Santiago",
    "payload": {"equipo": "pozo-7", "fecha": "2026-03-02T10:55:00", "caudal": "12,5"},
}


class MappingTrialBody(Body):
    """A mapping, and a payload for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [TRIAL_EXAMPLE]})

    mapping: Mapping = "caudal"
    """A preset's name, or a mapping of its own."""
    payload: Any
    """As a device or a provider would send it."""
    time_zone: str | None = None
    """Of times without one, as the point's or the provider's would be; null: such times are refused."""
    received_at: Instant | None = None
    """When it is taken to have come: no time may be more than 5 minutes after it; null: now."""


class MappedReading(Shown):
    """A reading, as the mapping makes it."""

    device: str | None
    """Null: the payload names none; an uplink's topic does, a push is refused."""
    measured_at: datetime
    is_timed: bool
    """Whether the payload says when; if not, it is the time of receipt."""
    logged_at: datetime | None
    values: dict[str, float]
    problems: dict[str, str]
    """Variable code to the reason why its value could not be read."""


class MappingTrialAnswer(Shown):
    """What a mapping makes of a payload."""

    readings: list[MappedReading]
    """The first hundred."""
    refused: list[TrialRefusal]
    """The first hundred."""
    readings_found: int
    """How many there are."""
    parts_refused: int
    """How many there are."""


def trial_answer(trial: MappingTrial) -> dict[str, Any]:
    """The answer, as JSON would have it."""
    shown = tuple(MappedReading.model_fields)
    return {
        "readings": [{name: getattr(reading, name) for name in shown} for reading in trial.readings],
        "refused": [{"field": error.field, "reason": error.reason} for error in trial.refused],
        "readings_found": trial.readings_found,
        "parts_refused": trial.parts_refused,
    }
