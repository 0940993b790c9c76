"""Shapes and parameter types that several rooms share."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from caudal.common.domain.conversion import fault_of
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import ID_PATTERN, checked_id
from caudal.gateway_api.domain.intervals import instant
from caudal.gateway_api.domain.merging import refuse_unprintable

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


_MODEL = ConfigDict(use_attribute_docstrings=True, defer_build=True)
"""A validator is built when it is first needed: all of them at once would take half of the service's start."""


class Body(BaseModel):
    """A body that we read: unknown fields are refused, numbers are finite, a boolean is no number."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, **_MODEL)


class Shown(BaseModel):
    """A shape that we answer with."""

    model_config = ConfigDict(**_MODEL)


class ProblemField(Shown):
    """One field that cannot be used."""

    field: str
    reason: str


class ProblemBody(Shown):
    """What went wrong."""

    code: str
    """For programs."""
    message: str
    """For people."""
    fields: list[ProblemField] = []
    """Which fields, if it is about fields."""


class Problem(Shown):
    """The one shape of every error."""

    error: ProblemBody


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A page of a list."""

    items: list[T]
    total: int
    """How long the whole list is."""
    page: int
    page_size: int


@dataclass(frozen=True)
class Stretch(Generic[T]):
    """A stretch of a list that is too long to be counted."""

    items: list[T]
    next_cursor: str | None
    """Send it back as `cursor` to get the next stretch; null: this was the last."""


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise InvalidInput("", "is not a time such as 2026-03-02T10:00:00Z")
    return instant(value, "")


def _printable(text: str) -> str:
    refuse_unprintable(text, "")
    return text


def _id(text: str) -> str:
    return checked_id(text, "")


Instant = Annotated[datetime, BeforeValidator(_instant)]
"""RFC 3339 with a zone; becomes UTC."""
Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Id = Annotated[str, AfterValidator(_id), Field(json_schema_extra={"pattern": ID_PATTERN})]
Number = Annotated[float, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Yes = Annotated[bool, Field(strict=True)]


def strictly(kind: Any) -> WrapValidator:
    """Validates as pydantic does and then refuses what pydantic would have bent: `true` or `"1"` as a number."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        found = handler(value)
        if isinstance(value, dict | list):
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                raise fault_of(error) from error
        return found

    return WrapValidator(validate)


def validated(model: type[Model], value: object) -> Model:
    """`value` as a body, refused like the body of a request."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
