"""The six providers that are known by name. Each is a configuration like any other: a seventh needs no code."""

from typing import Any

import msgspec

from caudal.common.domain.providers import ProviderApi


class ProviderPreset(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's entry in the catalog begins with."""

    name: str
    """For people."""
    api: ProviderApi
    connection: dict[str, Any]
    authentication: dict[str, Any]
    keys: dict[str, str] = {}
    """Variable code → what its devices usually call it; empty: there is no custom."""
    mapping: str | dict[str, Any] = "caudal"
    """How its values become numbers."""


_TAGO = "https://api.tago.io"
_THETHINGS = "https://api.thethings.io/v2"
_TDATA = "https://api.twindimension.com/tdata/v1"

PROVIDER_PRESETS: dict[str, ProviderPreset] = {
    "twin": ProviderPreset(
        name="Twin Dimension",
        api=ProviderApi.THINGSBOARD,
        connection={"base_url": _TDATA},
        authentication={"kind": "header", "header": "X-API-Key", "secret": "api_key"},
    ),
    "nettra": ProviderPreset(
        name="Nettra",
        api=ProviderApi.GENERIC,
        connection={
            "base_url": _THETHINGS,
            "path": "/things/{remote_id}/resources/{key}",
            "params": {"limit": "{limit}", "startDate": "{start}", "endDate": "{end}"},
            "latest_params": {"limit": "1"},
            "page_rows": 100,
            "form": "entries",
            "no_data_statuses": [404],
            "time": {"path": "datetime", "format": "rfc3339", "zone": "UTC"},
        },
        authentication={"kind": "login"},
    ),
    "novus": ProviderPreset(
        name="NOVUS Cloud",
        api=ProviderApi.TAGO,
        connection={"base_url": _TAGO},
        authentication={"kind": "header"},
        keys={"flow": "3grecuc1v", "level": "3grecuc2v", "total": "3grecdi1va"},
    ),
    "tago": ProviderPreset(
        name="TagoIO",
        api=ProviderApi.TAGO,
        connection={"base_url": _TAGO},
        authentication={"kind": "device_token"},
    ),
    "tdata": ProviderPreset(
        name="TData",
        api=ProviderApi.THINGSBOARD,
        connection={"base_url": _TDATA},
        authentication={"kind": "header", "header": "X-API-Key", "secret": "api_key"},
    ),
    "thingsio": ProviderPreset(
        name="thethings.io",
        api=ProviderApi.THETHINGS,
        connection={"base_url": _THETHINGS},
        authentication={"kind": "path_token"},
    ),
}
"""Code → preset. What a vendor's contract says otherwise (address, header, login) is set in the provider's entry."""
