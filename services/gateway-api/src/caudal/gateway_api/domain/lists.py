"""Every list of the API, and what it can be asked for."""

from datetime import datetime

from caudal.common.domain.catalog import PointStatus, PointType, ProviderType, VariableType
from caudal.gateway_api.domain.listing import Code, ListShape

_KEPT: dict[str, type] = {"created_at": datetime, "updated_at": datetime}

POINTS = ListShape(
    name="points",
    columns=(
        "code",
        "name",
        "device",
        "client",
        "provider",
        "type",
        "status",
        "latitude",
        "longitude",
        "altitude_m",
        "time_zone",
        "sampling_minutes",
        "mapping",
        "max_rows",
        "rules",
        "silent_since",
    ),
    filters={
        "code": Code,
        "device": Code,
        "client": Code,
        "provider": Code,
        "type": PointType,
        "status": PointStatus,
        "stale": bool,
        "name": str,
        "time_zone": str,
        "sampling_minutes": float,
        "latitude": float,
        "longitude": float,
        "altitude_m": float,
    }
    | _KEPT,
    searched=("code", "name", "device"),
    search_text="search_text",
    ordered=(
        "code",
        "name",
        "device",
        "client",
        "provider",
        "type",
        "status",
        "sampling_minutes",
        "created_at",
        "updated_at",
    ),
    key=("code",),
)
VARIABLES = ListShape(
    name="variables",
    columns=(
        "point",
        "code",
        "type",
        "name",
        "unit",
        "scale",
        "shift",
        "sensor_depth_m",
        "counter",
        "limits",
        "sentinels",
    ),
    filters={"point": Code, "code": Code, "type": VariableType, "name": str},
    searched=("code", "name", "point"),
    search_text="search_text",
    ordered=("point", "code", "type", "name"),
    key=("point", "position", "code"),
)
VERSIONS = ListShape(
    name="versions",
    columns=("valid_from", "valid_until", "sampling_minutes", "rules", "variables"),
    filters={"valid_until": datetime, "sampling_minutes": float},
    searched=("codes",),
    ordered=("valid_from", "valid_until", "sampling_minutes"),
    key=("valid_until",),
)
SWAPS = ListShape(
    name="meter-swaps",
    columns=("variable", "at", "starts_at", "note"),
    filters={"variable": Code, "at": datetime, "starts_at": float},
    searched=("variable", "note"),
    ordered=("at", "variable", "starts_at"),
    key=("at", "variable"),
)
PROVIDERS = ListShape(
    name="providers",
    columns=("code", "client", "name", "type", "api", "mapping", "time_zone", "active", "testing"),
    filters={
        "code": Code,
        "client": Code,
        "name": str,
        "type": ProviderType,
        "api": Code,
        "time_zone": str,
        "active": bool,
        "testing": bool,
    }
    | _KEPT,
    searched=("code", "name"),
    ordered=("code", "name", "client", "type", "active", "created_at", "updated_at"),
    key=("code",),
)
JOURNAL = ListShape(
    name="journal",
    columns=("at", "who", "action", "kind", "point", "key", "before", "after"),
    filters={"at": datetime, "who": str, "action": str, "kind": str, "key": Code},
    searched=("who", "action", "key"),
    ordered=("at",),
    key=("number",),
)
UNCLAIMED = ListShape(
    name="unclaimed",
    columns=("device", "readings", "first_measured_at", "last_measured_at", "last_received_at"),
    filters={},
    searched=("device",),
    ordered=("last_received_at", "last_measured_at", "readings", "device"),
    key=("device",),
)
ROLES = ListShape(
    name="roles",
    columns=("code", "name", "permissions"),
    filters={"code": Code, "name": str, "updated_at": datetime},
    searched=("code", "name"),
    ordered=("code", "name", "updated_at"),
    key=("code",),
)
API_KEYS = ListShape(
    name="api-keys",
    columns=(
        "id",
        "prefix",
        "label",
        "permissions",
        "client",
        "provider",
        "device",
        "created_by",
        "created_at",
        "expires_at",
        "last_used_at",
    ),
    filters={
        "client": Code,
        "provider": Code,
        "device": Code,
        "label": str,
        "created_by": str,
        "created_at": datetime,
        "expires_at": datetime,
        "last_used_at": datetime,
    },
    searched=("label", "prefix", "provider", "device"),
    ordered=("created_at", "label", "client", "provider", "expires_at", "last_used_at"),
    key=("id",),
)
AUDIT = ListShape(
    name="audit",
    columns=(
        "number",
        "at",
        "who",
        "action",
        "kind",
        "key",
        "client",
        "point",
        "before",
        "after",
        "address",
        "request",
        "previous",
        "hash",
    ),
    filters={
        "at": datetime,
        "who": str,
        "action": str,
        "kind": str,
        "key": str,
        "client": Code,
        "point": Code,
        "address": str,
        "request": str,
    },
    searched=("who", "action", "kind", "key"),
    ordered=("number", "at"),
    key=("number",),
)
RESETS = ListShape(
    name="password-resets",
    columns=("id", "email", "client", "requested_at", "expires_at", "address", "issued_by"),
    filters={"requested_at": datetime, "expires_at": datetime},
    searched=("email",),
    ordered=("requested_at", "expires_at"),
    key=("id",),
)
