"""Trying and asking a provider, as bodies."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from caudal.gateway_api.entrypoints.schemas.common import Body, Id, Shown, Text


class TrialSource(Body):
    """Something to ask for that belongs to no point yet."""

    remote_id: Annotated[Text, Field(min_length=1)]
    """What the provider calls the device."""
    keys: Annotated[dict[Id, Text], Field(min_length=1, max_length=200)]
    """Variable code to what the provider calls it."""


class TrialBody(Body):
    """What a provider is to be asked for; neither: any point of it that has a source."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"point": "pozo-7"}]})

    point: Id | None = None
    """A point of this provider."""
    source: TrialSource | None = None
    """Instead of a point, where its secrets are the provider's own."""


class TrialReading(Shown):
    """A reading, as the mapping makes it."""

    measured_at: datetime
    values: dict[str, float]
    problems: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    """Variable code to the reason why its value could not be read."""


class TrialRefusal(Shown):
    """A part of the answer that could not be read."""

    field: str
    reason: str


class TrialAnswer(Shown):
    """What a provider said, and what becomes of it."""

    order: str
    """Id of the order."""
    outcome: Literal["answered", "no_data", "failed", "under_way"]
    point: str | None = None
    took_ms: float | None = None
    reason: str | None = None
    """Why there are no readings."""
    raw: str = ""
    """The beginning of the answer, with secrets struck out."""
    readings: list[TrialReading] = []  # noqa: RUF012 - pydantic copies it
    refused: list[TrialRefusal] = []  # noqa: RUF012 - pydantic copies it


class PollAnswer(Shown):
    """That a provider is going to be asked."""

    order: str
    """Id of the order."""
    outcome: Literal["ordered", "under_way"]
    """`ordered`: a round begins as soon as none is under way; `under_way`: nobody has taken the order yet."""


class Preset(Shown):
    """What the entry of a provider that is known by name begins with."""

    name: str
    api: str
    connection: dict[str, Any]
    authentication: dict[str, Any]
    keys: dict[str, str]
    """Variable code to what its devices usually call it."""
    mapping: str | dict[str, Any]
