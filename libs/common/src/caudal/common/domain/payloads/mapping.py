"""A mapping says where readings stand in a payload, and what their numbers and times mean. It is data: see
docs/guides/mapping.md, which describes every field with examples that are run as tests.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from caudal.common.domain.catalog import checked_zone
from caudal.common.domain.conversion import fault_of
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import checked_id
from caudal.common.domain.payloads.layouts import Layout
from caudal.common.domain.payloads.numbers import number_reader
from caudal.common.domain.payloads.paths import Paths, checked_paths, paths_of
from caudal.common.domain.payloads.presets import PRESETS
from caudal.common.domain.payloads.refusals import quoted
from caudal.common.domain.payloads.times import time_reader
from caudal.common.domain.payloads.units import conversion
from caudal.common.domain.payloads.zones import ClockChange

OTHERS = "*"
"""The code under which `values` says what becomes of everything that no other code names."""

MAX_RULES = 500
"""Variables that one mapping names."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a mapping's parts: a field that none of them has is an error, not a wish that goes unheard."""


class TimeRule(Part, frozen=True, kw_only=True):
    """Where a time stands and how it is written."""

    path: Paths = ()
    """Empty: the device has no clock, and the time of receipt counts."""
    time_of_day: str = ""
    """Where the time of day stands, if `path` gives only the date; the two are joined by a blank."""
    format: str = "auto"
    """A name of `times.FORMS`, or a strptime pattern."""
    zone: str | None = None
    """Of times without one; None: the point's, or the provider's."""
    clock_change: ClockChange = "reject"
    """How local times are read that exist twice or not at all."""
    otherwise: Literal["reject", "received"] = "reject"
    """What counts when nothing stands at `path`: nothing, or the time of receipt."""

    def __post_init__(self) -> None:
        checked_paths(self.path, "path")
        checked_paths(self.time_of_day, "time_of_day")
        if self.zone is not None:
            checked_zone(self.zone, "zone")
        time_reader(self.format, self.zone, self.clock_change)


class ValueRule(Part, frozen=True, kw_only=True):
    """Where a variable's number stands, and what makes it the number that we keep."""

    path: Paths = ()
    """Empty: the variable's code. In the forms `entries` and `series`: the variable's name over there."""
    scale: float = 1.0
    """The number × scale + shift, before `convert`."""
    shift: float = 0.0
    """See `scale`."""
    convert: tuple[str, str] | None = None
    """Unit that the device sends, unit that is kept, such as ["m3/h", "l/s"]."""
    kind: Literal["number", "switch"] = "number"
    """switch: true and ON are 1, false and OFF are 0. A boolean is no number otherwise."""
    prefix: str = ""
    """Of `*` only: goes before each code. With one, `path` may lead to a list, whose elements are counted from 1."""
    texts: Literal["skip", "report"] = "report"
    """Of `*` only: whether something there that is no number is passed over or told as a problem."""

    def __post_init__(self) -> None:
        checked_paths(self.path, "path")
        if self.scale == 0 or not math.isfinite(self.scale):
            raise InvalidInput("scale", "must be a finite number other than 0")
        if not math.isfinite(self.shift):
            raise InvalidInput("shift", "must be a finite number")
        if self.prefix:
            checked_id(self.prefix, "prefix")
        if self.convert:
            conversion(*self.convert)

    def is_plain(self) -> bool:
        """Whether numbers are kept as they are."""
        return self.scale == 1.0 and self.shift == 0.0 and self.convert is None


class Mapping(Part, frozen=True, kw_only=True):
    """How payloads of one kind are read."""

    readings: Paths = "$"
    """Where the readings stand: each match is one, a list holds several."""
    form: Literal["rows", "entries", "series"] = "rows"
    """rows: a reading is an object with all its variables. entries: one object per variable and time. series: an
    object from variable to a list of entries."""
    layout: Layout = "list"
    """How rows stand there; in the form `series`: how each variable's entries do. See `layouts`."""
    device: Paths = ()
    """Where the device's name stands, for payloads that come without one on their topic."""
    time: TimeRule = TimeRule()
    logged: TimeRule | None = None
    """When the device's logger wrote the reading down."""
    values: Literal["*"] | dict[str, ValueRule] = "*"
    """Variable code to rule; `"*"` alone: every key of the reading that holds a number."""
    variable: Paths = "variable"
    """entries: where the variable's name stands."""
    value: Paths = "value"
    """entries, series: where the number stands."""
    ignore: tuple[str, ...] = ()
    """Keys of the reading that `*` leaves out; those of time, device and other variables are left out anyway."""
    decimal: Literal[".", ","] = "."
    """Decimal separator in numbers written as text."""
    thousands: Literal["", ".", ",", " ", "'"] = ""
    """Thousands separator in numbers written as text."""
    missing: tuple[str, ...] = ()
    """Texts that mean "not measured", in any case of letters; the empty one always does."""

    def __post_init__(self) -> None:
        for field in ("readings", "device", "variable", "value"):
            checked_paths(getattr(self, field), field)
        if not paths_of(self.readings):
            raise InvalidInput("readings", "is no path")
        if self.decimal == self.thousands:
            raise InvalidInput("thousands", f"cannot be {self.thousands!r} beside the same decimal separator")
        if self.values == {}:
            raise InvalidInput("values", "names no variable")
        if len(self.values) > MAX_RULES:
            raise InvalidInput("values", f"names {len(self.values)} variables; at most {MAX_RULES}")
        for code in self.values:
            checked_id(code if code != OTHERS else "others", f"values.{code[:80]}")
        number_reader(self.decimal, self.thousands)

    def paths(self) -> Iterator[str]:
        """Every path in it."""
        times = (self.time, self.logged) if self.logged else (self.time,)
        for time in times:
            yield from (*paths_of(time.path), *paths_of(time.time_of_day))
        for paths in (self.readings, self.device, self.variable, self.value):
            yield from paths_of(paths)
        for rule in self.rules().values():
            yield from paths_of(rule.path)

    def rules(self) -> dict[str, ValueRule]:
        """`values` written out."""
        if isinstance(self.values, str):
            return {OTHERS: ValueRule(path="@", texts="skip")}
        return self.values


def mapping_from(entry: str | dict[str, Any], field: str = "mapping") -> Mapping:
    """The mapping that a catalog entry describes: a preset by name, or fields, by themselves or over a `preset`.

    Raises:
        InvalidInput: there is no such preset, or a field cannot be used; the error names it.
    """
    if isinstance(entry, str):
        fields = _preset(entry, field)
    else:
        own = {key: value for key, value in entry.items() if key != "preset"}
        fields = _over(_preset(entry["preset"], f"{field}.preset"), own) if "preset" in entry else own
    try:
        return msgspec.convert(fields, Mapping)
    except msgspec.ValidationError as error:
        raise _named(error, field, fields.get("values")) from error


def _preset(name: object, field: str) -> dict[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        raise InvalidInput(field, f"{quoted(name)} is none of {', '.join(PRESETS)}")
    return PRESETS[name]


def _named(error: msgspec.ValidationError, field: str, values: object) -> InvalidInput:
    """msgspec's error as one that names the field, down to the variable's code."""
    fault = fault_of(error, field)
    if "[...]" in fault.field and isinstance(values, dict):
        return InvalidInput(fault.field.replace("[...]", f".{_first_bad(values)}", 1), fault.reason)
    return fault


def _first_bad(values: dict[str, Any]) -> str:
    for code, rule in values.items():
        try:
            msgspec.convert(rule, ValueRule)
        except msgspec.ValidationError:
            return str(code)[:80]
    return OTHERS


def _over(preset: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` fields over those of a preset; objects (time, values) are joined key by key."""
    joined = dict(preset)
    for key, value in own.items():
        base = joined.get(key)
        joined[key] = {**base, **value} if isinstance(base, dict) and isinstance(value, dict) else value
    return joined
