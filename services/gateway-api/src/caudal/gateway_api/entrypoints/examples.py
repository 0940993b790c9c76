"""An example of every body and every answer in the OpenAPI document: one story, told in the same words everywhere.

A field's example is what is said of it in its shape (`OF`), or else what is said of its name (`WORDS`), or its default.
A field that nobody has words for is an error, which the committed document's check finds.
"""

from collections.abc import Mapping
from typing import Any

_ID = "5f18025d11e94fa6a517d66b8f72afe8"
_TOKEN = "eyJhbGciOiJFUzI1NiJ9.…"
_RANGE = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}

_FOLD = {"from": "2026-03-01T12:00:00Z", "to": None, "readings": 187, "order": None}

WORDS: Mapping[str, Any] = {
    "id": _ID,
    "code": "pozo-7",
    "name": "Pozo 7, sector norte",
    "client": "andes",
    "provider": "tdata",
    "point": "pozo-7",
    "device": "meter-0007",
    "user": _ID,
    "email": "ana@andes.cl",
    "label": "plataforma de Acme",
    "permissions": ["points:read", "telemetry:read"],
    "api": "thingsboard",
    "connection": {"base_url": "https://api.twindimension.com/tdata/v1"},
    "authentication": {"kind": "login"},
    "keys": {"flow": "5003"},
    "credentials": {"password": "2026-03-02T10:00:00Z"},
    "at": "2026-03-02T10:00:00Z",
    "created_at": "2026-03-02T10:00:00Z",
    "updated_at": "2026-03-02T10:00:00Z",
    "ordered_at": "2026-03-02T10:00:00Z",
    "finished_at": "2026-03-02T10:00:01Z",
    "requested_at": "2026-03-02T10:00:00Z",
    "expires_at": "2026-03-02T10:15:00Z",
    "refresh_expires_at": "2026-04-01T10:00:00Z",
    "measured_at": "2026-03-02T10:00:00Z",
    "received_at": "2026-03-02T10:00:03Z",
    "computed_at": "2026-03-03T00:00:05Z",
    "last_connection": "2026-03-02T10:00:01Z",
    "connected_at": "2026-03-02T10:00:01Z",
    "asked_at": "2026-03-02T10:00:00Z",
    "answered_at": "2026-03-02T10:00:01Z",
    "measured_until": "2026-03-02T09:56:00Z",
    "complete_until": "2026-03-02T09:56:00Z",
    "oldest_measured_until": "2026-03-02T09:56:00Z",
    "since": "2026-03-02T06:00:00Z",
    "first_measured_at": "2026-01-01T03:00:00Z",
    "last_measured_at": "2026-03-02T10:00:00Z",
    "last_received_at": "2026-03-02T10:00:03Z",
    "who": "ana@andes.cl",
    "created_by": "ana@andes.cl",
    "action": "change",
    "key": "pozo-7",
    "before": {"sampling_minutes": 60},
    "after": {"sampling_minutes": 15},
    "number": 1042,
    "previous": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
    "hash": "2c26b46b68ffc68ff99b453c1d30413413422d70",
    "token": _TOKEN,
    "refresh_token": "r_5f18025d11e94fa6",
    "expires_in": 900,
    "variable": "totalizer",
    "note": "new meter",
    "starts_at": 0,
    "values": {"totalizer": 18423.5, "flow": 12.4},
    "payload": '{"measured_at": "2026-03-02T10:00:00Z", "values": {"totalizer": 18423.5, "flow": 12.4}}',
    "readings": 187,
    "order": _ID,
    "path": "/var/lib/caudal/windows/20260302T100000-1a2b3c4d-readings.csv",
    "rows": 5,
    "topic": "telemetry/meter-0007/uplink",
    "field": "measured_at",
    "reason": "is missing",
    "role": "operator",
    "lag_s": 240.0,
    "points": 12,
    "failures": 0,
    "failing": 0,
    "prefix": "caudal_5f18",
}
"""Name of a field to its example."""

OF: Mapping[str, Mapping[str, Any]] = {
    "Client": {"code": "andes", "name": "Agrícola Andes"},
    "Account": {"name": "Ana Rojas"},
    "Owner": {"kind": "PRIMARY"},
    "Preference": {"types": ["THRESHOLD", "OFFLINE"], "channels": ["EMAIL"]},
    "RoleAnswer": {"code": "field_work", "name": "Trabajo en terreno"},
    "NewApiKeyAnswer": {"key": "caudal_5f18025d11e94fa6a517d66b8f72afe8"},
    "Variable": {"code": "level", "type": "level", "name": "Nivel", "sensor_depth_m": 85.0},
    "Change": {"kind": "point"},
    "AuditLine": {"kind": "point"},
    "PointAnswer": {"fold": _FOLD},
    "VariableAnswer": {"fold": _FOLD},
    "Changed": {"fold": _FOLD},
    "VersionBody": {
        "sampling_minutes": 60.0,
        "time_zone": "America/Santiago",
        "valid_from": None,
        "valid_until": "2026-03-01T12:00:00Z",
    },
    "VersionAnswer": {
        "time_zone": "America/Santiago",
        "sampling_minutes": 60.0,
        "valid_from": None,
        "valid_until": "2026-03-01T12:00:00Z",
        "fold": _FOLD,
    },
    "OrderAnswer": {"state": "done", "detail": {"readings": 187, "changed": 12}},
    "Schema": {"points": []},
    "GroupRecord": {
        "schema": "daily-use",
        "group": "pozo-7",
        "starts_at": "2026-03-02T03:00:00Z",
        "values": {"volume": 412.5, "flow": 4.8, "hours": 23.9},
        "flags": [],
        "reasons": {},
        "readings": 24,
    },
    "RunAnswer": {"status_code": 200, "loader_response": {"rows": 5, "path": WORDS["path"]}},
    "Report": {
        "kind": "points",
        "dry_run": False,
        "rows": 4,
        "created": 1,
        "changed": 1,
        "unchanged": 1,
        "refused": 1,
        "columns": {"codigo_obra": "code", "lat": "latitude"},
        "guessed": ["lat"],
        "left_out": ["observaciones"],
        "steps": [
            {"row": 2, "key": "pozo-7", "outcome": "create", "changes": {"device": [None, "meter-0007"]}},
            {"row": 5, "key": "pozo-9", "outcome": "refused", "field": "latitude", "reason": "must be -90 to 90"},
        ],
    },
    "SeriesAnswer": {"variables": {"totalizer": "m3", "flow": "l/s"}} | _RANGE,
    "SampleAnswer": {"flags": None},
    "RawEntry": {"inlet": "uplink", "status": "COMPLETED", "provider": None, "reason": None},
    "RejectedEntry": {"inlet": "uplink", "payload": '{"values": {"flow": 12.4}}', "payload_encoding": "text"},
    "Summary": {"raw": {"COMPLETED": 187}, "duplicates": 3, "late": 5, "flags": {"GLITCH": 1}, "rejected": 1},
    "Figures": {"uptime_sec": 86_400.0, "points_written": 18_700, "last_flush_rows": 5},
    "Queue": {
        "name": "caudal:ingest",
        "service": "ingest",
        "job": "poll",
        "clock": "redis",
        "waiting": 1,
        "running": 0,
        "completed": 288,
        "failed": 0,
        "retried": 2,
        "last_begun_at": "2026-03-02T10:00:00Z",
        "is_under_way": False,
    },
    "TrialAnswer": {"outcome": "answered", "raw": '{"5003": [{"ts": 1772445600000, "value": "12.4"}]}', "reason": None},
    "MappingTrialAnswer": {"readings_found": 1, "parts_refused": 1},
    "MappedReading": {"is_timed": True, "logged_at": None, "values": {"flow": 12.5}, "problems": {}},
    "PollAnswer": {"outcome": "under_way"},
    "Preset": {"name": "TData", "mapping": {"values": "*"}},
    "ProviderPolling": {"error": None},
    "LogoutBody": {"all": False},
}
"""Shape to its fields' examples, where the name of a field does not say enough."""


def add_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with an example of each JSON body and each JSON answer that tells of success."""
    shapes = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            body = operation.get("requestBody", {})
            _add(body, shapes, is_whole=False)
            for status, response in operation["responses"].items():
                if status.startswith("2"):
                    _add(response, shapes, is_whole=True)
    return document


def _add(told: dict[str, Any], shapes: Mapping[str, Any], *, is_whole: bool) -> None:
    media = told.get("content", {}).get("application/json")
    if media is not None and "example" not in media:
        media["example"] = _example(media["schema"], shapes, is_whole=is_whole)


def _example(schema: Mapping[str, Any], shapes: Mapping[str, Any], *, is_whole: bool) -> Any:
    """An example of a shape; of a body what people would send, of an answer (`is_whole`) every field."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _of_shape(name, shapes, is_whole=is_whole)
    for part in schema.get("anyOf", ()):
        return _example(part, shapes, is_whole=is_whole)
    if schema.get("type") == "array":
        return [_example(schema["items"], shapes, is_whole=is_whole)]
    if schema.get("type") == "object":
        return _examples_by_key(schema, shapes)
    if "enum" in schema:
        return schema["enum"][0]
    return {"boolean": True, "string": "points:read"}[schema["type"]]


def _examples_by_key(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Of an object whose fields have no fixed names."""
    inner = schema.get("additionalProperties")
    if isinstance(inner, Mapping) and "$ref" in inner:
        return {"tdata": _example(inner, shapes, is_whole=True)}
    if isinstance(inner, Mapping) and inner.get("type") == "object":
        return {"flat": {"time": {"path": ["measured_at", "ts"]}, "values": "*"}}
    return {"password": WORDS["at"]} if isinstance(inner, Mapping) else {}


def _of_shape(name: str, shapes: Mapping[str, Any], *, is_whole: bool) -> Any:
    shape = shapes[name]
    given = (shape.get("examples") or [{}])[0]
    if "properties" not in shape or (given and not is_whole):
        return given or _example(shape, shapes, is_whole=is_whole)
    if name.startswith(("Listed_", "Stretch_")):
        items = _example(shape["properties"]["items"], shapes, is_whole=True)
        page = {"total": 1, "page": 1, "page_size": 50} if "total" in shape["properties"] else {"next_cursor": None}
        return {"items": items} | page
    return {field: _of_field(name, field, each, shapes) for field, each in shape["properties"].items()} | given


def _of_field(shape: str, field: str, schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> Any:
    said = OF.get(shape, {})
    if field in said:
        return said[field]
    is_simple = "$ref" not in schema and "$ref" not in schema.get("items", {})
    if field in WORDS and is_simple:
        return WORDS[field]
    if "default" in schema:
        return schema["default"]
    if {"type": "null"} in schema.get("anyOf", ()):
        return None
    try:
        return _example(schema, shapes, is_whole=True)
    except KeyError as error:
        raise LookupError(f"{shape}.{field} has no example: put one beside the others") from error
