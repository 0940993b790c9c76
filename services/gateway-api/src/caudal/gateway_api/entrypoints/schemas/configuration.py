"""Versions of a point's configuration, meter swaps, and what a change means for the past, as bodies."""

from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import ConfigDict, Field

from caudal.common.domain.catalog import MeterSwap, Point, PointSource, PointStatus, PointType, Rules, Variable
from caudal.gateway_api.domain.merging import merged
from caudal.gateway_api.domain.silence import JUDGED, WHOLE, Silence, Standing
from caudal.gateway_api.domain.timeline import PointVersion
from caudal.gateway_api.domain.versions import Kept
from caudal.gateway_api.entrypoints.schemas.begins import ValidFrom, since_of
from caudal.gateway_api.entrypoints.schemas.catalog import (
    PointBody,
    PointVariable,
    RulesBody,
    ShownVariable,
    VariableBody,
    fields_kept,
    named_in,
    plain_of,
)
from caudal.gateway_api.entrypoints.schemas.common import Body, Id, Instant, Number, Shown, Text, validated
from caudal.gateway_api.handlers.catalog import Since
from caudal.gateway_api.handlers.folds import Fold


class FoldBody(Shown):
    """Readings that are not what they would be under the present configuration, and stay so until somebody folds them.

    `POST /api/telemetry/process/` with `from` and `to` folds them again, or `?fold=true` with the change itself; what
    comes out differently is then published as an amendment.
    """

    model_config = ConfigDict(populate_by_name=True)

    start: Annotated[datetime | None, Field(alias="from")]
    """null: from the first one on."""
    end: Annotated[datetime | None, Field(alias="to")]
    """null: to the last."""
    readings: int
    """How many, at most."""
    order: str | None
    """The order to fold them again, to be asked at `/api/telemetry/process/{order}`; null: none was given."""


class SilenceBody(Shown):
    """A variable of which nothing has come for too long, while others of its point have."""

    variable: str
    since: datetime
    """When its last value was measured."""


class ShownPoint(PointBody):
    """A point, and how it is doing."""

    silent_since: datetime | None = None
    """When its last reading was measured, if nothing has come for too long; it is OFFLINE then."""
    stale: tuple[SilenceBody, ...] = ()
    """Variables that are silent by themselves."""
    created_at: datetime
    updated_at: datetime
    """When it or one of its variables was last changed."""


class Changed(Shown):
    """What a change means for the past."""

    fold: FoldBody | None = None
    """What has to be folded again; left out: nothing."""


class PointAnswer(ShownPoint, Changed):
    """A point after a change."""


class VariableAnswer(ShownVariable, Changed):
    """A variable after a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointEntry:
    """A point as it is shown: as it is now, and what a change of it means for the past."""

    code: str
    device: str
    client: str | None
    provider: str | None
    type: PointType
    status: PointStatus
    name: str
    latitude: float | None
    longitude: float | None
    altitude_m: float | None
    time_zone: str
    sampling_minutes: float
    mapping: str | dict[str, Any] | None
    max_rows: int | None
    source: PointSource | None
    rules: Rules
    variables: tuple[Variable, ...]
    silent_since: datetime | None
    stale: tuple[Silence, ...]
    created_at: datetime
    updated_at: datetime
    fold: Fold | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, standing: Standing, fold: Fold | None = None) -> "PointEntry":
        """A point, what is silent there, and what there is to be folded again."""
        point, silences = standing.point, standing.silences
        plain = {name: value for name, value in fields_kept(standing.kept).items() if name != "earlier"}
        judged = silences if point.status in (*JUDGED, PointStatus.OFFLINE) else ()
        since = next((silence.since for silence in judged if silence.variable == WHOLE), None)
        if since is not None:
            plain["status"] = PointStatus.OFFLINE
        stale = tuple(silence for silence in judged if silence.variable != WHOLE)
        return cls(silent_since=since, stale=stale, fold=fold or msgspec.UNSET, **plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedVariable(PointVariable):
    """A variable after a change, with its point."""

    fold: Fold | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def after(cls, point: str, kept: Kept[Variable], fold: Fold | None) -> "ChangedVariable":
        """A variable of `point`, and what there is to be folded again."""
        return cls(point=point, fold=fold or msgspec.UNSET, **fields_kept(kept))


class Refolding(msgspec.Struct, frozen=True):
    """What the removal of something means for the past."""

    fold: Fold | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def after(cls, fold: Fold | None) -> "Refolding":
        """What there is to be folded again."""
        return cls(fold or msgspec.UNSET)


# ---------------------------------------------------------------- versions


class VersionBody(Shown):
    """How a point's readings are read and judged for some time."""

    valid_from: datetime | None
    """null: since ever."""
    valid_until: datetime | None
    """null: until it is changed."""
    sampling_minutes: float
    time_zone: str
    rules: RulesBody
    variables: tuple[VariableBody, ...]


class VersionAnswer(VersionBody, Changed):
    """A version after a change."""


class VersionPatch(Body):
    """What is corrected in one version; what is left out stays, null is the default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sampling_minutes": 15}]})

    valid_from: ValidFrom = None
    """From when on it is valid; between the beginning of the version before and its own end."""
    sampling_minutes: Number | None = None
    time_zone: str | None = None
    """Of local times of then that come from now on without one; readings that are stored stay."""
    rules: dict[str, Any] | None = None
    """Merged into what is there; null: the defaults."""
    variables: tuple[VariableBody, ...] | None = None
    """Replaced as a whole; null: none."""

    @property
    def since(self) -> Since | None:
        """From when on it should be valid; None: it stays."""
        return since_of(self)

    def applied(self, point: Point) -> Point:
        """`point`, as it was then, with these changes."""
        plain = {name: value for name, value in plain_of(point).items() if name in _Judging.model_fields}
        judged = validated(_Judging, merged(plain, named_in(self)))
        return replace(point, **{name: getattr(judged, name) for name in _Judging.model_fields})


class _Judging(Body):
    """What a version says, as a new point would say it."""

    sampling_minutes: Number = 60.0
    time_zone: str = "UTC"
    rules: RulesBody = Rules()
    variables: tuple[VariableBody, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedVersion(PointVersion):
    """A version after a change."""

    fold: Fold | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def after(cls, version: PointVersion, fold: Fold | None) -> "ChangedVersion":
        """`version`, and what there is to be folded again."""
        plain = {field.name: getattr(version, field.name) for field in fields_of(version)}
        return cls(fold=fold or msgspec.UNSET, **plain)


# ---------------------------------------------------------------- meters


class MeterSwapBody(Body):
    """An operator's word that a meter was replaced."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"variable": "totalizer", "at": "2026-03-02T14:00:00Z", "starts_at": 0, "note": "new meter"}]
        }
    )

    variable: Id
    """The totalizer whose meter it was."""
    at: Instant
    """From this instant on readings are the new meter's."""
    starts_at: Number = 0.0
    """What the new meter showed when it was put in, in its own counts."""
    note: Text = ""
    """Who, why."""

    def swap(self) -> MeterSwap:
        """The swap that this body declares."""
        return MeterSwap(at=self.at, starts_at=self.starts_at, note=self.note)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapEntry(MeterSwap):
    """A declared meter swap, with the variable whose meter it was."""

    variable: str
