"""Logging in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from caudal.gateway_api.entrypoints.schemas.common import Body, Text


class LoginBody(Body):
    """Who wants to come in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "admin@caudal.local", "password": "correct horse battery"}]}
    )

    email: Annotated[Text, Field(min_length=1)]
    password: Annotated[Text, Field(min_length=1)]


@dataclass(frozen=True)
class UserAnswer:
    """A user, as the user may see it."""

    id: str
    email: str
    role: str
    client: str | None
    permissions: list[str]


@dataclass(frozen=True)
class LoginAnswer:
    """What is sent as `Authorization: Bearer <token>` from now on."""

    token: str
    token_type: str
    expires_at: datetime
    user: UserAnswer


@dataclass(frozen=True)
class KeyAnswer:
    """An API key without its secret."""

    id: str
    provider: str
    prefix: str
    """First characters of the key, by which you recognise it."""
    label: str


@dataclass(frozen=True)
class NewKeyAnswer:
    """An API key with its secret, which is told only here."""

    id: str
    provider: str
    prefix: str
    label: str
    key: str | None
    """Keep it: it cannot be read again; null in the answer to a repeated request."""
