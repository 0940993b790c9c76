"""Batch windows, in the words that their users know."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from caudal.gateway_api.entrypoints.schemas.common import Body


class RunBody(Body):
    """Which file to run, and how to read it; everything may be left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"options": {"delimiter": ";", "decimal": ",", "time_zone": "America/Santiago"}}]
        }
    )

    path: Annotated[str, Field(max_length=1000)] | None = None
    """As `/api/upload_csv` answered it; null: your last upload."""
    options: dict[str, Any] = Field(default_factory=dict)
    """How to read it: mapping of columns, delimiter, decimal, time zone. services/ingest/README.md has them all."""


@dataclass(frozen=True)
class UploadAnswer:
    """The file is kept."""

    saved: bool
    path: str


@dataclass(frozen=True)
class RunAnswer:
    """The loader was started and, with status_code 200, has answered."""

    triggered: bool
    status_code: int
    """200: done; 202: still at it, ask where `Location` says."""
    loader_response: dict[str, Any]
    """rows and path; the whole report, and the id of the window, if rows were rejected or are still being read."""


@dataclass(frozen=True)
class FlushAnswer:
    """The table was written."""

    rows: int
    path: str


@dataclass(frozen=True)
class Figures:
    """The platform in three numbers."""

    uptime_sec: float
    """Of this process."""
    points_written: int | None
    """Instants with processed values in the ledger; null: it does not answer."""
    last_flush_rows: int | None
    """null: nothing was flushed since the start."""
