"""What an import may say of a point, a variable or an owner, and the words by which older systems call it."""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from caudal.common.domain.catalog import CounterKind, PointStatus, PointType, VariableType
from caudal.gateway_api.domain.tenancy import OwnerKind


class ImportKind(StrEnum):
    """What a file is about."""

    POINTS = "points"
    VARIABLES = "variables"
    OWNERS = "owners"
    HISTORY = "history"
    """Readings: run as a batch window."""


class CellKind(StrEnum):
    """How a cell is to be understood."""

    TEXT = "text"
    WORD = "word"
    """One of a few words."""
    WORDS = "words"
    """Several, parted by commas, semicolons or spaces."""
    NUMBER = "number"
    WHOLE = "whole"
    YES = "yes"
    """True or false."""
    NUMBERS = "numbers"
    PLAIN = "plain"
    """An object or a list, written as JSON where cells are text."""


_of_limits = {
    **dict.fromkeys(("min", "max", "alert_below", "alert_above", "reset_above"), CellKind.NUMBER),
    "alert_at_zero": CellKind.YES,
}
_of_counter = {
    "counter.kind": CellKind.WORD,
    "counter.meter.pulses_per_liter": CellKind.NUMBER,
    "counter.meter.calibration_factor": CellKind.NUMBER,
    "counter.register_bits": CellKind.WHOLE,
    "counter.max_flow_lps": CellKind.NUMBER,
}
_of_rules = {
    **dict.fromkeys(("gap_factor", "flow_total_tolerance", "level_change_m"), CellKind.NUMBER),
    **dict.fromkeys(("flow_total_consistency", "level_accumulated_consistency"), CellKind.YES),
}

POINT_FIELDS: Mapping[str, CellKind] = {
    **dict.fromkeys(("code", "device", "client", "provider", "name", "time_zone"), CellKind.TEXT),
    **dict.fromkeys(("type", "status"), CellKind.WORD),
    **dict.fromkeys(("latitude", "longitude", "altitude_m", "sampling_minutes"), CellKind.NUMBER),
    "max_rows": CellKind.WHOLE,
    **dict.fromkeys(("mapping", "source", "rules", "variables"), CellKind.PLAIN),
    "source.remote_id": CellKind.TEXT,
    **{f"rules.{name}": kind for name, kind in _of_rules.items()},
}
VARIABLE_FIELDS: Mapping[str, CellKind] = {
    **dict.fromkeys(("point", "code", "name", "unit"), CellKind.TEXT),
    "type": CellKind.WORD,
    **dict.fromkeys(("scale", "shift", "sensor_depth_m"), CellKind.NUMBER),
    "sentinels": CellKind.NUMBERS,
    **dict.fromkeys(("counter", "limits"), CellKind.PLAIN),
    **_of_counter,
    **{f"limits.{name}": kind for name, kind in _of_limits.items()},
}
OWNER_FIELDS: Mapping[str, CellKind] = {
    **dict.fromkeys(("user", "point"), CellKind.TEXT),
    "kind": CellKind.WORD,
    "permissions": CellKind.WORDS,
}
FIELDS: Mapping[ImportKind, Mapping[str, CellKind]] = {
    ImportKind.POINTS: POINT_FIELDS,
    ImportKind.VARIABLES: VARIABLE_FIELDS,
    ImportKind.OWNERS: OWNER_FIELDS,
}
SOURCE_KEY = "source.keys."
"""A field that goes on with a variable's code: what the point's provider calls that variable."""

_PLACE = {
    "latitude": "lat latitud",
    "longitude": "lon lng long longitud",
    "altitude_m": "altitude altitud altura cota elevation elevacion msnm",
    "sampling_minutes": "frequency frecuencia frecuencia_minutos frecuencia_min intervalo intervalo_minutos",
}
HEADERS: Mapping[ImportKind, Mapping[str, str]] = {
    ImportKind.POINTS: {
        "code": "codigo codigo_obra cod_obra obra codigo_punto point punto id",
        "device": "device_id unique_device_id dispositivo id_dispositivo equipo serial serie numero_serie",
        "client": "cliente empresa client_code codigo_cliente",
        "provider": "proveedor provider_code",
        "name": "nombre nombre_punto nombre_obra descripcion",
        "type": "tipo tipo_punto tipo_captacion point_type",
        "status": "estado",
        "time_zone": "zona_horaria timezone huso",
        "variables": "sensores",
        **_PLACE,
    },
    ImportKind.VARIABLES: {
        "point": "punto codigo_punto point_code codigo_obra obra",
        "code": "codigo variable codigo_variable variable_code",
        "name": "nombre nombre_variable descripcion",
        "type": "tipo tipo_variable variable_type",
        "unit": "unidad",
        "scale": "escala factor",
        "sensor_depth_m": "sensor_depth profundidad_sensor profundidad",
        "counter.meter.pulses_per_liter": "pulses_per_liter pulsos_por_litro",
        "counter.meter.calibration_factor": "calibration_factor factor_calibracion",
        "limits.min": "min minimo min_value valor_minimo",
        "limits.max": "max maximo max_value valor_maximo",
    },
    ImportKind.OWNERS: {
        "user": "usuario email correo correo_electronico user_email mail",
        "point": "punto codigo_punto point_code codigo_obra obra",
        "kind": "tipo rol owner_type tipo_propietario",
        "permissions": "permisos",
    },
}
"""By kind: field to the headers that are taken for it, folded; the field's own name is one too."""

WORDS: Mapping[ImportKind, Mapping[str, Mapping[str, str]]] = {
    ImportKind.POINTS: {
        "type": {
            "pozo": "WELL",
            "rio": "RIVER",
            "canal": "RIVER",
            "lago": "LAKE",
            "embalse": "RESERVOIR",
            "tranque": "RESERVOIR",
            "vertiente": "SPRING",
            "manantial": "SPRING",
            "dren": "DRAIN",
        },
        "status": {
            "activo": "ACTIVE",
            "activa": "ACTIVE",
            "inactivo": "INACTIVE",
            "inactiva": "INACTIVE",
            "mantencion": "MAINTENANCE",
            "mantenimiento": "MAINTENANCE",
        },
    },
    ImportKind.VARIABLES: {
        "type": {
            "nivel": "level",
            "caudal": "flow",
            "flujo": "flow",
            "caudal_promedio": "average_flow",
            "totalizador": "totalizer",
            "total": "totalizer",
            "temperatura": "temperature",
            "presion": "pressure",
            "conductividad": "conductivity",
            "turbiedad": "turbidity",
            "otro": "other",
        },
    },
    ImportKind.OWNERS: {
        "kind": {
            "primario": "PRIMARY",
            "principal": "PRIMARY",
            "secundario": "SECONDARY",
            "administrador": "ADMINISTRATOR",
        },
    },
}
"""Words that are understood besides our own; whoever means something else says so in the mapping's `values`."""

_ENUMS: Mapping[ImportKind, Mapping[str, type[StrEnum]]] = {
    ImportKind.POINTS: {"type": PointType, "status": PointStatus},
    ImportKind.VARIABLES: {"type": VariableType, "counter.kind": CounterKind},
    ImportKind.OWNERS: {"kind": OwnerKind},
}

_not_a_letter = re.compile(r"[^a-z0-9.]+")


def folded(text: str) -> str:
    """`text` as people mean it: `Código Obra` and `codigo_obra` are one."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return _not_a_letter.sub("_", plain).strip("_")


def words_of(kind: ImportKind, field: str) -> dict[str, str]:
    """Folded words that a field takes, and what each means."""
    ours: dict[str, str] = {folded(word): word.value for word in _ENUMS[kind].get(field, ())}
    return {**WORDS[kind].get(field, {}), **ours}


def field_kind(kind: ImportKind, field: str) -> CellKind | None:
    """How cells of a field are understood; None: there is no such field."""
    if kind is ImportKind.POINTS and field.startswith(SOURCE_KEY) and len(field) > len(SOURCE_KEY):
        return CellKind.TEXT
    return FIELDS[kind].get(field)


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`{"limits.max": 5}` as `{"limits": {"max": 5}}`; a dotted field goes before what an object says of it."""
    result: dict[str, Any] = {}
    for field in sorted(fields, key=lambda name: name.count(".")):
        *path, last = field.split(".", 2) if field.startswith(SOURCE_KEY) else field.split(".")
        place = result
        for name in path:
            inner = place.get(name)
            place[name] = dict(inner) if isinstance(inner, Mapping) else {}
            place = place[name]
        place[last] = fields[field]
    return result
