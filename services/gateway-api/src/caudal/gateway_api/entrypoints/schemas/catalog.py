"""Points and variables as bodies."""

from collections import abc
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, RootModel, SecretStr

from caudal.common.domain.catalog import (
    Counter,
    Limits,
    Point,
    PointSource,
    PointStatus,
    PointType,
    Provider,
    Rules,
    Variable,
    VariableType,
)
from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.merging import merged, refuse_unprintable
from caudal.gateway_api.domain.versions import Kept
from caudal.gateway_api.entrypoints.schemas.begins import ValidFrom, since_of
from caudal.gateway_api.entrypoints.schemas.common import (
    Body,
    Id,
    Number,
    Whole,
    strictly,
    validated,
)
from caudal.gateway_api.handlers.catalog import Since


def _mapping(value: object) -> object:
    if isinstance(value, str | dict):
        return value
    raise InvalidInput("", "must be the name of a preset, or an object")


def _storable(secret: SecretStr) -> SecretStr:
    refuse_unprintable(secret.get_secret_value(), "")
    return secret


Mapping = Annotated[str | dict[str, Any], BeforeValidator(_mapping)]
VariableBody = Annotated[Variable, strictly(Variable)]
RulesBody = Annotated[Rules, strictly(Rules)]
SourceBody = Annotated[PointSource, strictly(PointSource)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=4096), AfterValidator(_storable)]
Credentials = Annotated[dict[Id, Secret], Field(max_length=16)]
ChangedCredentials = Annotated[dict[Id, Secret | None], Field(max_length=16)]

TOTALIZER_EXAMPLE: dict[str, Any] = {
    "code": "totalizer",
    "type": "totalizer",
    "name": "Volumen acumulado",
    "counter": {"kind": "total", "meter": {"pulses_per_liter": 0.1, "calibration_factor": 1.0}},
}
LEVEL_EXAMPLE: dict[str, Any] = {
    "code": "level",
    "type": "level",
    "sensor_depth_m": 85.0,
    "limits": {"min": 0, "max": 80},
}
POINT_EXAMPLE: dict[str, Any] = {
    "code": "pozo-7",
    "device": "meter-0007",
    "name": "Pozo 7, sector norte",
    "type": "WELL",
    "latitude": -33.4569,
    "longitude": -70.6483,
    "altitude_m": 520,
    "time_zone": "America/Santiago",
    "sampling_minutes": 60,
    "variables": [TOTALIZER_EXAMPLE, {"code": "flow", "type": "flow"}, LEVEL_EXAMPLE],
}


class PointBody(Body):
    """A catchment point with its variables."""

    model_config = ConfigDict(json_schema_extra={"examples": [POINT_EXAMPLE]})

    code: Id
    """Unique, and the same for ever."""
    device: Id
    """The device that measures there; unique."""
    client: Id | None = None
    """Whose it is; null: your own client's; of staff, nobody's, so that only staff see it."""
    provider: Id | None = None
    """Who hands us its readings; None: the device itself."""
    type: PointType = PointType.WELL
    status: PointStatus = PointStatus.ACTIVE
    """OFFLINE is set by the system alone."""
    name: str = ""
    latitude: Number | None = None
    """Degrees, WGS 84, north positive."""
    longitude: Number | None = None
    """Degrees, WGS 84, east positive."""
    altitude_m: Number | None = None
    """Above sea level."""
    time_zone: str = "UTC"
    """Zone of times that the device sends without one, such as America/Santiago."""
    sampling_minutes: Number = 60.0
    """How often a reading is expected; above 0."""
    mapping: Mapping | None = None
    """How its payloads are read: a preset's name or a mapping of its own; null: the provider's, else `caudal`."""
    max_rows: Whole | None = None
    """Cap of its series in the telemetry store; null: no cap."""
    source: SourceBody | None = None
    """Where its provider keeps its values; null: they come by themselves."""
    rules: RulesBody = Rules()
    """Thresholds of the rules between variables."""
    variables: tuple[VariableBody, ...] = ()

    def point(self) -> Point:
        """The point that this body describes.

        Raises:
            InvalidInput: it sets a status that only the system sets.
        """
        if self.status is PointStatus.OFFLINE:
            raise InvalidInput("status", "OFFLINE is set by the system alone")
        return Point(**{name: getattr(self, name) for name in PointBody.model_fields})


class NewPoint(PointBody):
    """A point to be made, with secrets of its own if its provider asks for some."""

    credentials: Credentials = Field(default_factory=dict)
    """Name to secret, such as a device's token; kept sealed and never shown again."""


class PointPatch(Body):
    """What changes in a point; what is left out stays. Variables have routes of their own."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Pozo 7", "rules": {"gap_factor": 4}}]})

    device: Id | None = None
    client: Id | None = None
    """For staff: whose it is from now on; owners and notifications of others are removed."""
    provider: Id | None = None
    type: PointType | None = None
    status: PointStatus | None = None
    name: str | None = None
    latitude: Number | None = None
    longitude: Number | None = None
    altitude_m: Number | None = None
    time_zone: str | None = None
    """Of local times since `valid_from` that come from now on without one; readings that are stored stay."""
    sampling_minutes: Number | None = None
    mapping: Mapping | None = None
    max_rows: Whole | None = None
    source: SourceBody | None = None
    """Replaced as a whole; null: its provider is not asked any more."""
    credentials: ChangedCredentials | None = None
    """Name to secret; null forgets it, what is left out stays."""
    rules: dict[str, Any] | None = None
    """Merged into what is there; null: the defaults."""
    valid_from: ValidFrom = None
    """From when on changed rules, sampling and zone hold; left out: from now on, or since ever where nothing was
    measured yet; `"beginning"` or null: since ever, the past is corrected."""

    @property
    def since(self) -> Since | None:
        """From when on the change is valid."""
        return since_of(self)

    def applied(self, point: Point) -> Point:
        """`point` with these changes, judged like a new one.

        Raises:
            InvalidInput: a field cannot be used.
        """
        plain = {name: value for name, value in plain_of(point).items() if name not in ("variables", "earlier")}
        if plain["status"] == PointStatus.OFFLINE and "status" not in self.model_fields_set:
            plain["status"] = PointStatus.ACTIVE
        changed = validated(PointBody, merged(plain, named_in(self), whole=("mapping", "source"))).point()
        status = changed.status if "status" in self.model_fields_set else point.status
        return replace(changed, status=status, variables=point.variables)


class PointVariableBody(Body):
    """A variable, with the point that it belongs to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"point": "pozo-7"} | LEVEL_EXAMPLE]})

    point: Id
    """The point that it belongs to."""
    code: Id
    """Unique within its point, and the same for ever."""
    type: VariableType
    """What it measures; the unit in which it is stored follows from it."""
    name: str = ""
    unit: str = ""
    """Of the stored value; empty: the type's own."""
    scale: Number = 1.0
    """Measured × scale + shift is in the stored unit."""
    shift: Number = 0.0
    counter: Annotated[Counter, strictly(Counter)] | None = None
    """How a totalizer counts; null: it gives m³."""
    sensor_depth_m: Number | None = None
    """Level only: how deep the probe hangs below ground."""
    limits: Annotated[Limits, strictly(Limits)] | None = None
    """null: the defaults of the type."""
    sentinels: tuple[Number, ...] = (-3200.0, -999.0)
    """Numbers that mean "no measurement"."""

    def variable(self) -> Variable:
        """The variable that this body describes.

        Raises:
            InvalidInput: a field cannot be used.
        """
        return Variable(**{name: getattr(self, name) for name in PointVariableBody.model_fields if name != "point"})


class NewVariable(PointVariableBody):
    """A variable to be added to a point."""

    valid_from: ValidFrom = None
    """From when on readings have it; left out, `"beginning"` or null: since ever."""


class ShownVariable(PointVariableBody):
    """A variable as it is shown."""

    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PointVariable(Variable):
    """A variable, with the point that it belongs to."""

    point: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, point: str, kept: Kept[Variable]) -> "PointVariable":
        """A variable of `point`."""
        return cls(point=point, **fields_kept(kept))


class VariablePatch(Body):
    """What changes in a variable; what is left out stays, objects are merged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"counter": {"meter": {"calibration_factor": 1.02}}}]})

    type: VariableType | None = None
    name: str | None = None
    unit: str | None = None
    scale: Number | None = None
    shift: Number | None = None
    counter: dict[str, Any] | None = None
    sensor_depth_m: Number | None = None
    limits: dict[str, Any] | None = None
    sentinels: tuple[Number, ...] | None = None
    valid_from: ValidFrom = None
    """From when on readings are judged by it; left out: from now on, or since ever where nothing was measured yet;
    `"beginning"` or null: since ever, the past is corrected."""

    @property
    def since(self) -> Since | None:
        """From when on the change is valid."""
        return since_of(self)

    def applied(self, variable: Variable) -> Variable:
        """`variable` with these changes, judged like a new one.

        Raises:
            InvalidInput: a field cannot be used.
        """
        return validated(_WholeVariable, merged(plain_of(variable), named_in(self))).root


class _WholeVariable(RootModel[VariableBody]):
    """A variable alone, to be judged like one in a body."""

    model_config = ConfigDict(defer_build=True)


def plain_of(entry: Point | Variable | Provider) -> dict[str, Any]:
    """Every field as JSON would have it."""
    plain: dict[str, Any] = msgspec.to_builtins({field.name: getattr(entry, field.name) for field in fields_of(entry)})
    return plain


def named_in(patch: Body) -> dict[str, Any]:
    """The fields that the caller named, null included, but for secrets and for when it is valid."""
    return {name: getattr(patch, name) for name in patch.model_fields_set - {"credentials", "valid_from"}}


def fields_kept(kept: Kept[Any]) -> dict[str, Any]:
    """Every field of an entry, and since when it is there and as it is."""
    fields = {field.name: getattr(kept.entry, field.name) for field in fields_of(kept.entry)}
    return fields | {"created_at": kept.created_at, "updated_at": kept.updated_at}


def told(credentials: abc.Mapping[str, SecretStr | None] | None) -> dict[str, str | None]:
    """Secrets in plain text, to be sealed."""
    return {name: secret.get_secret_value() if secret else None for name, secret in (credentials or {}).items()}
