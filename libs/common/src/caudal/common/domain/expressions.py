"""A small language for calculating with the values of a record: arithmetic, comparisons, a few functions.

Read by a grammar of its own (Lark, LALR: time linear in the text) into nodes of our own: nothing in it can reach an
attribute, a name that was not given, or Python. All numbers are floats, so what an expression costs is bounded by its
length. What is made of something missing is missing; it is never taken for 0.
"""

import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, UnexpectedInput, UnexpectedToken

from caudal.common.domain.errors import InvalidInput

MAX_LENGTH = 500
"""Characters of an expression."""
MAX_DEPTH = 100
"""How deep an expression may be nested; each term of a sum is one deeper than the one before."""

Value = float | bool | None
"""A number, true or false, or nothing."""
Values = Mapping[str, float | None]
"""By name; None, like a name that is not there: missing."""


class NoValue(Exception):
    """All that is needed is there, and still nothing comes of it; the message says why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Something that can be calculated."""

    calculate: Callable[[Values], Value]
    """What comes of it for values by name; None: something is missing.

    Raises:
        NoValue: nothing comes of it, such as of a division by zero.
    """
    is_truth: bool
    """Whether it gives true or false; otherwise it gives a number."""
    names: Mapping[str, int] = field(default_factory=dict)
    """The values that it uses, and where in the text each first stands."""
    at: int = 0
    """Where in the text it begins."""
    depth: int = 1


def expression_of(text: str, names: Collection[str], *, is_truth: bool, field: str) -> Expression:
    """The expression that `text` writes, which may use `names`.

    Raises:
        InvalidInput: it writes none, or one that gives the wrong thing; the error names `field` and the character.
    """
    if not 1 <= len(text) <= MAX_LENGTH:
        raise InvalidInput(field, f"has {len(text)} characters; 1 to {MAX_LENGTH} are possible")
    try:
        made = cast(Expression, _parser().parse(text))
    except UnexpectedInput as error:
        raise InvalidInput(field, _unexpected(text, error)) from error
    except _Unusable as error:
        raise InvalidInput(field, f"character {error.at + 1}: {error}") from error
    except LarkError as error:
        raise InvalidInput(field, str(error)) from error
    unknown = [name for name in made.names if name not in names]
    if unknown:
        first = min(unknown, key=lambda name: made.names[name])
        raise InvalidInput(field, f"character {made.names[first] + 1}: {first!r} is no field that comes before it")
    if made.is_truth is not is_truth:
        raise InvalidInput(field, f"gives {_KINDS[made.is_truth]}, not {_KINDS[is_truth]}")
    return made


def _unexpected(text: str, error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return f"character {len(text) + 1}: ends where something is missing"
    at = error.pos_in_stream or 0
    return f"character {at + 1}: cannot be read from {text[at:][:20]!r} on"


class _Unusable(Exception):
    """What is written can be read and makes no sense."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


_KINDS = {True: "true or false", False: "a number"}

_GRAMMAR = r"""
?start: choice
?choice: both | both ("or" both)+ -> either
?both: negated | negated ("and" negated)+ -> every
?negated: comparison | "not" negated -> negation
?comparison: sum | sum COMPARE sum -> compared
?sum: product | sum SIGN product -> binary
?product: signed | product SCALE signed -> binary
?signed: power | "-" signed -> negative
?power: atom | atom POWER signed -> binary
?atom: "(" choice ")" | NUMBER -> number | NAME -> name | NAME "(" [choice ("," choice)*] ")" -> call
COMPARE: "<=" | ">=" | "==" | "!=" | "<" | ">"
SIGN: "+" | "-"
SCALE: /\*(?!\*)/ | "/" | "%"
POWER: "**"
NUMBER: /[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?/
NAME: /[A-Za-z_][A-Za-z0-9_]{0,63}/
%ignore /[ \t\r\n]+/
"""


@cache
def _parser() -> Lark:
    """Made when the first expression is read. It makes nodes while it reads, so nothing too deep is ever held."""
    return Lark(_GRAMMAR, parser="lalr", transformer=_Nodes(), maybe_placeholders=False)


# ---------------------------------------------------------------- what there is to calculate


def _divided(a: float, b: float) -> float:
    if b == 0:
        raise NoValue("a division by zero")
    return a / b


def _remainder(a: float, b: float) -> float:
    if b == 0:
        raise NoValue("a division by zero")
    return a % b


def _power(a: float, b: float) -> float:
    if a == 0 and b < 0:
        raise NoValue("a division by zero")
    if a < 0 and b != math.floor(b):
        raise NoValue("the root of a negative number")
    return math.pow(a, b)


def _root(a: float) -> float:
    if a < 0:
        raise NoValue("the root of a negative number")
    return math.sqrt(a)


def _rounded(a: float, digits: float = 0.0) -> float:
    return float(round(a, int(min(max(digits, -20), 20))))


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "%": _remainder,
    "**": _power,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_MANY = 20
_FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., float]]] = {
    "abs": (1, 1, abs),
    "ceil": (1, 1, lambda a: float(math.ceil(a))),
    "floor": (1, 1, lambda a: float(math.floor(a))),
    "max": (2, _MANY, max),
    "min": (2, _MANY, min),
    "round": (1, 2, _rounded),
    "sqrt": (1, 1, _root),
}
"""Fewest and most arguments, all of them numbers, and what is done with them."""

RESERVED = frozenset({"and", "or", "not", "if", "coalesce", "has", *_FUNCTIONS})
"""Words of the language, which no field may have as its name."""


def _strict(function: Callable[..., Value], parts: Sequence[Expression]) -> Callable[[Values], Value]:
    """`function` of the parts, where none of them is missing."""

    def calculate(values: Values) -> Value:
        found = [part.calculate(values) for part in parts]
        if any(value is None for value in found):
            return None
        try:
            result = function(*found)
        except OverflowError as error:
            raise NoValue("more than a number can hold") from error
        if not math.isfinite(cast(float, result)):
            raise NoValue("more than a number can hold")
        return result

    return calculate


def _node(
    calculate: Callable[[Values], Value], parts: Sequence[Expression], *, is_truth: bool, of_truths: bool = False
) -> Expression:
    """A node above `parts`, all of which must be of one kind."""
    for part in parts:
        if part.is_truth is not of_truths:
            raise _Unusable(part.at, f"has {_KINDS[part.is_truth]} where {_KINDS[of_truths]} belongs")
    return _above(calculate, parts, is_truth)


def _above(calculate: Callable[[Values], Value], parts: Sequence[Expression], is_truth: bool) -> Expression:
    depth = 1 + max((part.depth for part in parts), default=0)
    at = parts[0].at if parts else 0
    if depth > MAX_DEPTH:
        raise _Unusable(at, f"is nested more than {MAX_DEPTH} deep")
    names: dict[str, int] = {}
    for part in parts:
        names = {**part.names, **names}
    return Expression(calculate, is_truth, names, at, depth)


@v_args(inline=True)
class _Nodes(Transformer[Any, Expression]):
    """A node for each rule of the grammar."""

    def number(self, text: Token) -> Expression:
        given, at = float(text), text.start_pos or 0
        if not math.isfinite(given):
            raise _Unusable(at, f"{text} is more than a number can hold")
        return Expression(lambda _values: given, is_truth=False, at=at)

    def name(self, text: Token) -> Expression:
        name, at = str(text), text.start_pos or 0
        return Expression(lambda values: values.get(name), is_truth=False, names={name: at}, at=at)

    def negative(self, part: Expression) -> Expression:
        return _node(_strict(operator.neg, [part]), [part], is_truth=False)

    def binary(self, a: Expression, sign: str, b: Expression) -> Expression:
        return _node(_strict(_OPERATORS[sign], [a, b]), [a, b], is_truth=False)

    def compared(self, a: Expression, sign: str, b: Expression) -> Expression:
        return _node(_strict(_OPERATORS[sign], [a, b]), [a, b], is_truth=True)

    def negation(self, part: Expression) -> Expression:
        return _node(_strict(operator.not_, [part]), [part], is_truth=True, of_truths=True)

    def either(self, *parts: Expression) -> Expression:
        return _node(_strict(lambda *found: any(found), parts), parts, is_truth=True, of_truths=True)

    def every(self, *parts: Expression) -> Expression:
        return _node(_strict(lambda *found: all(found), parts), parts, is_truth=True, of_truths=True)

    def call(self, name: Token, *parts: Expression) -> Expression:
        return replace(_called(str(name), parts, name.start_pos or 0), at=name.start_pos or 0)


def _called(name: str, parts: Sequence[Expression], at: int) -> Expression:
    if name == "if":
        return _if(parts, at)
    if name == "coalesce":
        return _coalesce(parts, at)
    if name == "has":
        _check_count(name, parts, 1, 1, at)
        return _node(lambda values: parts[0].calculate(values) is not None, parts, is_truth=True)
    if name not in _FUNCTIONS:
        raise _Unusable(at, f"{name!r} is none of the functions {', '.join(sorted(RESERVED - _WORDS))}")
    least, most, function = _FUNCTIONS[name]
    _check_count(name, parts, least, most, at)
    return _node(_strict(function, parts), parts, is_truth=False)


_WORDS = frozenset({"and", "or", "not"})


def _check_count(name: str, parts: Sequence[Expression], least: int, most: int, at: int) -> None:
    if not least <= len(parts) <= most:
        raise _Unusable(at, f"{name} takes {least} to {most} arguments" if least < most else f"{name} takes {least}")


def _if(parts: Sequence[Expression], at: int) -> Expression:
    """`if(condition, then, otherwise)`: only the one that is asked for is calculated."""
    _check_count("if", parts, 3, 3, at)
    condition, then, otherwise = parts
    if not condition.is_truth or then.is_truth or otherwise.is_truth:
        raise _Unusable(at, "if takes a condition and two numbers")

    def calculate(values: Values) -> Value:
        holds = condition.calculate(values)
        return None if holds is None else (then if holds else otherwise).calculate(values)

    return _above(calculate, parts, is_truth=False)


def _coalesce(parts: Sequence[Expression], at: int) -> Expression:
    """`coalesce(a, b, …)`: the first that is not missing."""
    _check_count("coalesce", parts, 2, _MANY, at)

    def calculate(values: Values) -> Value:
        found = (part.calculate(values) for part in parts)
        return next((value for value in found if value is not None), None)

    return _node(calculate, parts, is_truth=False)
