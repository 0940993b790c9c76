"""Answers about readings."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from caudal.common.ports import Function
from caudal.gateway_api.domain.telemetry import CommandState
from caudal.gateway_api.entrypoints.schemas.common import Body, Id, Instant, Shown


@dataclass(frozen=True)
class PushAnswer:
    """The broker has it."""

    id: str
    """The same for the same Idempotency-Key."""


class SpanAnswer(Shown):
    """A part of the time asked for."""

    start: Annotated[datetime, Field(alias="from")]
    end: Annotated[datetime, Field(alias="to")]


class SampleAnswer(Shown):
    """Values at one instant, or over the interval that begins there."""

    at: datetime
    values: dict[str, float | None]
    flags: dict[str, list[str]] | None = None
    """Only with `flags=true`: variable to why its value deserves a second look."""


class SeriesAnswer(Shown):
    """Stored values of a point."""

    point: str
    variables: dict[str, str]
    """Variable to the unit of its values."""
    start: Annotated[datetime, Field(alias="from")]
    end: Annotated[datetime, Field(alias="to")]
    every: str | None
    """Width of the intervals; null: these are the samples themselves."""
    function: Function | None
    archive: SpanAnswer | None
    """The part that is older than the retention and so comes from the archive; null: nothing does."""
    samples: list[SampleAnswer]
    next_cursor: str | None
    """Send it back as `cursor` to get the next page; null: this was the last."""


class ProcessBody(Body):
    """Which readings are to be folded again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"point": "pozo-7", "from": "2026-03-01T00:00:00Z"}]}, populate_by_name=True
    )

    point: Id
    start: Annotated[Instant | None, Field(alias="from")] = None
    """null: from the first reading on."""
    end: Annotated[Instant | None, Field(alias="to")] = None
    """null: to the last."""


@dataclass(frozen=True)
class OrderAnswer:
    """An order to another service and, once there is one, its answer."""

    id: str
    state: CommandState
    detail: dict[str, Any]
    ordered_at: datetime
    finished_at: datetime | None
