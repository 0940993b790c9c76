"""The numbers of one reading: the value rules of a mapping made ready."""

import math
from collections.abc import Callable
from collections.abc import Mapping as AnyMapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from caudal.common.domain.ids import id_from_name
from caudal.common.domain.payloads.mapping import OTHERS, Mapping, ValueRule
from caudal.common.domain.payloads.numbers import Parsed, ReadNumber, number_reader, switch_reader
from caudal.common.domain.payloads.paths import finder, first_finder, paths_of, plain_keys
from caudal.common.domain.payloads.refusals import Refusal, Unreadable, quoted
from caudal.common.domain.payloads.units import conversion

MAX_VALUES = 500
"""Variables in one reading."""
MAX_EXACT = 2**53
"""Integers up to here are exact as floats."""

code_of = lru_cache(maxsize=8192)(id_from_name)
"""A key as variable code, or a name as device id: itself, or an id made from it."""


class Values(NamedTuple):
    """Numbers of a reading by variable code, and why others could not be read."""

    numbers: dict[str, int | float]
    problems: dict[str, str]

    def put(self, code: str, parsed: Parsed) -> None:
        """Write down what became of one variable; what was not measured leaves no trace."""
        if type(parsed) is str:
            self.problems[code] = parsed
        elif parsed is not None:
            self.numbers[code] = parsed  # type: ignore[assignment]

    def checked(self) -> "Values":
        """Itself, if a reading can be made of it.

        Raises:
            Unreadable: no variable has a number, or too many have one.
        """
        if not self.numbers:
            code, reason = next(iter(self.problems.items()), ("values", "no variable has a value"))
            raise Unreadable(Refusal.VALUES, code, reason)
        if len(self.numbers) + len(self.problems) > MAX_VALUES:
            raise Unreadable(Refusal.VALUES, "values", f"has more than {MAX_VALUES} variables")
        return self


class ValuesReader:
    """Reads the numbers of readings as a mapping says."""

    def __init__(self, mapping: Mapping) -> None:
        missing = frozenset(text.casefold() for text in mapping.missing)
        number = number_reader(mapping.decimal, mapping.thousands, missing)
        rules = mapping.rules()
        others = rules.get(OTHERS)
        named = {code: rule for code, rule in rules.items() if code != OTHERS}
        self._named = [
            (code, first_finder(rule.path) or finder(code), _reader_of(rule, number)) for code, rule in named.items()
        ]
        self._by_name = {
            name: (code, _reader_of(rule, number))
            for code, rule in named.items()
            for name in paths_of(rule.path) or (code,)
        }
        self._others = _Others(others, _reader_of(others, number), _keys_taken(mapping, named)) if others else None

    def of(self, reading: Any, payload: Any) -> Values:
        """The numbers of one reading that is an object.

        Raises:
            Unreadable: there is none.
        """
        values = Values({}, {})
        for code, find, read in self._named:
            values.put(code, read(find(reading, payload)))
        if self._others:
            self._others.gather(reading, payload, values, is_alone=not self._named)
        return values.checked()

    def of_entry(self, name: str, raw: Any) -> tuple[str, Parsed] | None:
        """Variable code and number of one entry; None: the mapping has no use for it."""
        if name in self._by_name:
            code, read = self._by_name[name]
            return code, read(raw)
        return self._others.of_entry(name, raw) if self._others else None


class _Others:
    """What becomes of everything that no code names: the rule `*`."""

    def __init__(self, rule: ValueRule, read: ReadNumber, taken: frozenset[str]) -> None:
        self._find, self._where = first_finder(rule.path) or finder("@"), " or ".join(paths_of(rule.path)) or "@"
        self._prefix, self._read, self._taken = rule.prefix, read, taken
        self._skips_texts = rule.texts == "skip"

    def gather(self, reading: Any, payload: Any, values: Values, is_alone: bool) -> None:
        """Add all that is here to `values`; `is_alone`: it is an error if there is nothing to look at.

        Raises:
            Unreadable: what stands here cannot hold variables, or holds too many.
        """
        found = self._find(reading, payload)
        if found is None and not is_alone:
            return
        if type(found) is not dict and not (type(found) is list and self._prefix):
            reason = "nothing there" if found is None else f"{quoted(found)} is no object"
            raise Unreadable(Refusal.SHAPE, self._where, reason)
        if len(found) > MAX_VALUES + len(self._taken):
            raise Unreadable(Refusal.VALUES, self._where, f"has more than {MAX_VALUES} variables")
        pairs = found.items() if type(found) is dict else enumerate(found, 1)
        for key, raw in pairs:
            if key not in self._taken:
                parsed = self._parsed(raw)
                if parsed is not None:
                    values.put(code_of(f"{self._prefix}{key}"), parsed)

    def of_entry(self, name: str, raw: Any) -> tuple[str, Parsed]:
        """Variable code and number of one entry that no code names."""
        return code_of(f"{self._prefix}{name}"), self._parsed(raw)

    def _parsed(self, raw: Any) -> Parsed:
        """The number, or why it is none; nothing where words are passed over and nobody meant a number."""
        parsed = self._read(raw)
        is_word = type(parsed) is str and type(raw) is not float and type(raw) is not int
        return None if is_word and self._skips_texts else parsed


def _reader_of(rule: ValueRule, number: ReadNumber) -> ReadNumber:
    read = switch_reader(number) if rule.kind == "switch" else number
    if rule.is_plain():
        return read
    adjust = _adjustment(rule)

    def read_adjusted(raw: Any) -> Parsed:
        parsed = read(raw)
        if parsed is None or type(parsed) is str:
            return parsed
        adjusted = adjust(parsed)  # type: ignore[arg-type]
        return adjusted if math.isfinite(adjusted) else f"{quoted(raw)} is not finite after scaling"

    return read_adjusted


def _adjustment(rule: ValueRule) -> Callable[[float], float]:
    """scale, shift and unit in one; a scale of 0.01 divides by 100, so that 3108 becomes 31.08 and nothing near it."""
    scale, shift = rule.scale, rule.shift
    numerator, denominator = Fraction(repr(scale)).as_integer_ratio()
    is_exact = max(abs(numerator), denominator) <= MAX_EXACT
    convert = conversion(*rule.convert) if rule.convert else None

    def adjust(value: float) -> float:
        scaled = (value * numerator / denominator if is_exact else value * scale) + shift
        return convert(scaled) if convert else scaled

    return adjust


def _keys_taken(mapping: Mapping, named: AnyMapping[str, ValueRule]) -> frozenset[str]:
    """Keys that `*` leaves alone: the ignored ones and, where it looks at the reading itself, those with a meaning."""
    if mapping.rules()[OTHERS].path not in ("@", ()):
        return frozenset(mapping.ignore)
    paths = [*paths_of(mapping.time.path), *paths_of(mapping.time.time_of_day), *paths_of(mapping.device)]
    paths += paths_of(mapping.logged.path) if mapping.logged else ()
    for code, rule in named.items():
        paths += paths_of(rule.path) or (code,)
    firsts = (keys[0] for path in paths if not path.startswith("$") and (keys := plain_keys(path)))
    return frozenset({*(key for key in firsts if isinstance(key, str)), *mapping.ignore})
