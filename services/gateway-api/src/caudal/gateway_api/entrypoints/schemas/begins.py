"""`valid_from`: from when on a change of the configuration is valid."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator

from caudal.gateway_api.domain.intervals import instant
from caudal.gateway_api.handlers.catalog import Since

BEGINNING = "beginning"


def begin_named(value: object) -> datetime | None:
    """An instant from its text; None: since ever."""
    if value is None or value == BEGINNING:
        return None
    return instant(str(value), "")


def since_of(body: BaseModel) -> Since | None:
    """What a body says about `valid_from`; None: nothing."""
    return Since(getattr(body, "valid_from", None)) if "valid_from" in body.model_fields_set else None


ValidFrom = Annotated[datetime | None, BeforeValidator(begin_named)]
"""RFC 3339 with a zone; `beginning` or null: since ever."""
