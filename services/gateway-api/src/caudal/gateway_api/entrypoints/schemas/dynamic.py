"""Dynamic schemas as bodies."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from caudal.common.domain.schemas import (
    MAX_FIELDS,
    MAX_POINTS,
    MAX_RULES,
    GroupBy,
    RecordPeriod,
    Schema,
    SchemaField,
    SchemaKind,
    SchemaRule,
)
from caudal.gateway_api.entrypoints.schemas.common import Body, Id, Instant, Text, Yes
from caudal.gateway_api.entrypoints.schemas.tenancy import Patch

Points = Annotated[tuple[Id, ...], Field(max_length=MAX_POINTS)]
Fields = Annotated[tuple[SchemaField, ...], Field(min_length=1, max_length=MAX_FIELDS)]
Rules = Annotated[tuple[SchemaRule, ...], Field(max_length=MAX_RULES)]


class SchemaBody(Body):
    """Which variables make a record, for which period and group, what is calculated and what must hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "daily-use",
                    "name": "Uso diario",
                    "kind": "REPORT",
                    "period": "day",
                    "time_zone": "America/Santiago",
                    "group_by": "point",
                    "fields": [
                        {"code": "volume", "variable": "total", "aggregate": "increase", "unit": "m3"},
                        {"code": "flow", "variable": "flow", "aggregate": "mean", "unit": "l/s"},
                        {"code": "hours", "expression": "volume / flow / 3.6", "unit": "h"},
                    ],
                    "rules": [{"code": "right", "expression": "volume <= 864", "message": "Sobre el derecho"}],
                }
            ]
        }
    )

    code: Id
    """Unique, and the same for ever."""
    client: Id | None = None
    """Whose it is; null: your own client's; of staff, shared by all clients, who each see their own records."""
    name: Text = ""
    kind: SchemaKind = SchemaKind.CUSTOM
    """What records are for; all kinds are computed in the same way."""
    active: Yes = True
    """Whether there are records."""
    period: RecordPeriod = RecordPeriod.DAY
    """How long a record is, by the clock of `time_zone`."""
    time_zone: Text = "UTC"
    group_by: GroupBy = GroupBy.POINT
    """Whose readings make one record: each point's, or all of a client's."""
    points: Points = ()
    """Whose readings count; empty: those of all points of its client, or of all clients."""
    fields: Fields
    rules: Rules = ()
    display: dict[str, Any] = Field(default_factory=dict)
    """How records are to be shown; kept as it is."""

    def made(self, now: datetime, client: str | None) -> Schema:
        """The schema that this body describes, of `client` if it names none."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Schema(**(fields | {"client": self.client or client}), created_at=now, updated_at=now)


class PreviewBody(Body):
    """A schema that is to be tried, and on what was measured when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "schema": {"code": "trial", "fields": [{"code": "flow", "variable": "flow"}]},
                    "from": "2026-03-01T00:00:00Z",
                    "to": "2026-03-08T00:00:00Z",
                }
            ]
        },
        populate_by_name=True,
    )

    tried: Annotated[SchemaBody, Field(alias="schema")]
    start: Annotated[Instant, Field(alias="from")]
    """The period that it is in is shown whole."""
    end: Annotated[Instant, Field(alias="to")]
    """At most 31 days later; likewise."""


class SchemaPatch(Patch):
    """What changes in a schema; what is left out stays. Its records are computed anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"period": "month"}, {"active": False}]})

    client: Id | None = None
    """null: shared by all clients."""
    name: Text | None = None
    kind: SchemaKind | None = None
    active: Yes | None = None
    period: RecordPeriod | None = None
    time_zone: Text | None = None
    group_by: GroupBy | None = None
    points: Points | None = None
    fields: Fields | None = None
    """All of them, in the place of those that are there; likewise `rules`."""
    rules: Rules | None = None
    display: dict[str, Any] | None = None
