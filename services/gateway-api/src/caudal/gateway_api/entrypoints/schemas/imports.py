"""Imports as bodies."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from caudal.gateway_api.domain.import_fields import ImportKind
from caudal.gateway_api.entrypoints.schemas.common import Body, Yes

MAP_EXAMPLE: dict[str, Any] = {
    "columns": {"code": "codigo_obra", "latitude": "lat", "longitude": "lon"},
    "constants": {"client": "acme"},
    "values": {"type": {"POZO": "WELL"}},
}


class ImportBody(Body):
    """What an uploaded file is about, and how its columns are to be taken."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "points", "map": MAP_EXAMPLE}]})

    kind: ImportKind
    path: Annotated[str, Field(max_length=1000)] | None = None
    """As `/api/import/upload` answered it; null: your last upload. Somebody of a client imports their last one."""
    map: dict[str, Any] = Field(default_factory=dict)
    """`columns`, `constants`, `values`, `ignore`, `decimal`, `delimiter`, `encoding`; see docs/guides/import.md."""
    all_or_nothing: Yes = False
    """Whether one row that is refused holds back all others."""
