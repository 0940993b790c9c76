"""Providers and their keys as bodies."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from caudal.common.domain.catalog import Provider, ProviderType
from caudal.gateway_api.domain.merging import merged
from caudal.gateway_api.domain.versions import Kept
from caudal.gateway_api.entrypoints.schemas.catalog import (
    ChangedCredentials,
    Credentials,
    Mapping,
    fields_kept,
    named_in,
    plain_of,
)
from caudal.gateway_api.entrypoints.schemas.common import Body, Id, Text, Yes, validated

PROVIDER_EXAMPLE: dict[str, Any] = {
    "code": "tdata",
    "name": "TData",
    "api": "thingsboard",
    "connection": {"base_url": "https://api.twindimension.com/tdata/v1"},
    "authentication": {"kind": "login"},
    "credentials": {"username": "somebody", "password": "not-a-real-password"},
}


class ProviderBody(Body):
    """A company or platform that hands us readings."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "acme", "name": "Acme Telemetría", "mapping": "caudal"}]}
    )

    code: Id
    """Unique, and the same for ever."""
    client: Id | None = None
    """Whose it is; null: your own client's; of staff, shared by all."""
    name: str = ""
    type: ProviderType = ProviderType.HTTP_API
    """How its readings come."""
    api: Id | None = None
    """Kind of HTTP API that is asked: tago, thethings, thingsboard or generic; null: it is not asked, it pushes."""
    connection: dict[str, Any] = Field(default_factory=dict)
    """Where and how it is asked or listened to, such as `base_url`, or `url` of a WebSocket; no secrets."""
    authentication: dict[str, Any] = Field(default_factory=dict)
    """Its `kind`, and the names of the secrets that it needs."""
    mapping: Mapping = "caudal"
    """How its payloads are read: a preset's name or a mapping of its own."""
    time_zone: str = "UTC"
    """Zone of times that it sends without one."""
    active: Yes = True
    """Whether its pushes are taken, and it is asked."""
    testing: Yes = False
    """Whether it is only being tried: it is asked when a test is ordered, and not otherwise."""

    def provider(self) -> Provider:
        """The provider that this body describes."""
        return Provider(**{name: getattr(self, name) for name in ProviderBody.model_fields})


class ShownProvider(ProviderBody):
    """A provider as it is shown."""

    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEntry(Provider):
    """A provider as it is shown."""

    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, kept: Kept[Provider]) -> "ProviderEntry":
        """A provider, and since when it is so."""
        return cls(**fields_kept(kept))


class NewProvider(ProviderBody):
    """A provider to be made, with what it wants to hear from us."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROVIDER_EXAMPLE]})

    credentials: Credentials = Field(default_factory=dict)
    """Name to secret; kept sealed and never shown again. `webhook_secret` is what it signs its pushes with."""


class ProviderPatch(Body):
    """What changes in a provider; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"active": False}]})

    client: Id | None = None
    """For staff: whose it is from now on; null: shared by all."""
    name: str | None = None
    type: ProviderType | None = None
    api: Id | None = None
    connection: dict[str, Any] | None = None
    """Replaced as a whole."""
    authentication: dict[str, Any] | None = None
    """Replaced as a whole."""
    mapping: Mapping | None = None
    time_zone: str | None = None
    active: Yes | None = None
    testing: Yes | None = None
    credentials: ChangedCredentials | None = None
    """Name to secret; null forgets it, what is left out stays."""

    def applied(self, provider: Provider) -> Provider:
        """`provider` with these changes, judged like a new one.

        Raises:
            InvalidInput: a field cannot be used.
        """
        changed = merged(plain_of(provider), named_in(self), whole=("connection", "authentication", "mapping"))
        return validated(ProviderBody, changed).provider()


class KeyBody(Body):
    """What a new API key is for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": "plataforma de Acme"}]})

    label: Text = ""
