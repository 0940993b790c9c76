"""Points as a file describes them: put into what is there, judged as the API judges them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from caudal.common.domain.catalog import Point, PointStatus
from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.catalog_rules import checked_point
from caudal.gateway_api.domain.import_fields import POINT_FIELDS
from caudal.gateway_api.domain.merging import merged, refuse_unprintable

NAMES = tuple(name for name in POINT_FIELDS if "." not in name)
"""Fields of a point that a file may speak of."""

_missing = re.compile(r"missing required field `(\w+)`")


def point_with(present: Point | None, said: Mapping[str, Any]) -> Point:
    """`present` with what a file says, or a new point; variables are matched by their code, and none goes.

    The status OFFLINE says nothing: it is how our own lists show a point that is silent.

    Raises:
        InvalidInput: a field cannot be used; the error names it.
    """
    refuse_unprintable(said)
    plain = plain_of(present) if present is not None else {}
    told = {name: value for name, value in said.items() if name != "variables" and not is_system_s(name, value)}
    whole = merged(plain, told, whole=("mapping",))
    whole["variables"] = _variables(plain.get("variables", []), said.get("variables", []))
    point = _converted(whole)
    if present is None:
        return checked_point(point)
    return checked_point(replace(present, **{name: getattr(point, name) for name in NAMES}))


def is_system_s(field: str, value: object) -> bool:
    """Whether a field says what the system says by itself, as our own lists do: that is no wish of anybody."""
    return field == "status" and value == PointStatus.OFFLINE


def plain_of(point: Point) -> dict[str, Any]:
    """What a file may speak of, as JSON would have it."""
    plain: dict[str, Any] = msgspec.to_builtins(point)
    return {name: plain[name] for name in NAMES}


def differences(before: Point | None, after: Point) -> dict[str, Any]:
    """Field to `[before, after]`, of variables one by one."""
    former, present = (_flat(point) if point is not None else {} for point in (before, after))
    if before is None:
        # Of something new only what is not as it would be anyway.
        usual = _flat(Point(code=after.code, device=after.device))
        former = {name: value for name, value in usual.items() if name not in ("code", "device")}
    return {
        name: [former.get(name) if before is not None else None, present.get(name)]
        for name in [*present, *(former.keys() - present.keys())]
        if former.get(name) != present.get(name)
    }


def _flat(point: Point) -> dict[str, Any]:
    plain = plain_of(point)
    variables = plain.pop("variables")
    return plain | {f"variables.{variable['code']}": variable for variable in variables}


def _variables(present: list[dict[str, Any]], said: object) -> list[Any]:
    if not isinstance(said, list):
        raise InvalidInput("variables", "is no list of variables")
    by_code = {variable["code"]: variable for variable in present}
    for place, variable in enumerate(said):
        if not isinstance(variable, Mapping) or not isinstance(variable.get("code"), str):
            raise InvalidInput(f"variables.{place}.code", "is missing")
        by_code[variable["code"]] = merged(by_code.get(variable["code"], {}), variable)
    return list(by_code.values())


def _converted(plain: Mapping[str, Any]) -> Point:
    try:
        point = msgspec.convert(plain, Point)
    except msgspec.ValidationError as error:
        raise _named(error) from error
    _refuse_unknown(plain, plain_of(point), "")
    return point


def _named(error: msgspec.ValidationError) -> InvalidInput:
    """Which field it was, in the words of who wrote the file."""
    reason, _, path = str(error).partition(" - at `$")
    where = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", path.rstrip("`")).strip(".")
    if isinstance(error.__cause__, InvalidInput):
        return InvalidInput(".".join(part for part in (where, error.__cause__.field) if part), error.__cause__.reason)
    if missing := _missing.search(reason):
        return InvalidInput(".".join(part for part in (where, missing[1]) if part), "is missing")
    return InvalidInput(where or "row", reason)


def _refuse_unknown(said: Any, understood: Any, where: str) -> None:
    """Nothing, if all that was said is understood: a misspelt field would be lost in silence."""
    if isinstance(said, Mapping) and isinstance(understood, Mapping):
        for name, value in said.items():
            path = f"{where}.{name}" if where else str(name)
            if name not in understood:
                raise InvalidInput(path[:200], "is no field")
            _refuse_unknown(value, understood[name], path)
    elif isinstance(said, list | tuple) and isinstance(understood, list | tuple):
        for place, (value, known) in enumerate(zip(said, understood, strict=False)):
            _refuse_unknown(value, known, f"{where}.{place}")
