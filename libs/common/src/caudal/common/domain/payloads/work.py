"""How much looking up one payload may cost. Counted in values looked at, not in time: the same payload ends the same
way on every machine, and no mapping and no payload can hold up those behind them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathQuery
from jsonpath_rfc9535.filter_expressions import FilterQuery
from jsonpath_rfc9535.segments import JSONPathRecursiveDescentSegment
from jsonpath_rfc9535.selectors import FilterSelector

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.refusals import Refusal, Unreadable

MOST = 1_000_000
"""Values that all queries of one payload may look at together; about a second of one processor."""
HEAVIEST = 100
"""Of one query: how often it may look at each value."""
DESCENT = 4
"""What looking into everything costs, in looks."""

_REGEXES = ("match", "search")


class Work:
    """What may still be done for one payload, and what was found in the whole of it already."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._found: dict[tuple[int, int], list[Any]] = {}

    def done(self, query: "Query", value: Any, is_whole: bool) -> list[Any]:
        """What a query finds in a value; in a whole payload it looks once.

        Raises:
            Unreadable: it would be too much.
        """
        key = (id(query), id(value))
        if is_whole and key in self._found:
            return self._found[key]
        self._left -= query.weight * values_in(value, self._left // query.weight + 1)
        if self._left < 0:
            raise Unreadable(Refusal.SHAPE, query.path, "takes too much looking up for one payload")
        found = query.find(value)
        if is_whole:
            self._found[key] = found
        return found


_work: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def bounded_work(most: int = MOST) -> Iterator[None]:
    """One payload's work: everything looked up inside is counted together."""
    token = _work.set(Work(most))
    try:
        yield
    finally:
        _work.reset(token)


class Query:
    """A path that takes a query engine, with what it costs.

    Args:
        path: As it was written, for people.
        compiled: The same, made ready.

    Raises:
        InvalidInput: it costs too much.
    """

    def __init__(self, path: str, compiled: JSONPathQuery) -> None:
        self.path, self._compiled = path, compiled
        self.weight = _weight(compiled)

    def __call__(self, value: Any, is_whole: bool = False) -> list[Any]:
        """Everything that stands there.

        Raises:
            Unreadable: it takes too much looking up.
        """
        return (_work.get() or Work(MOST)).done(self, value, is_whole)

    def find(self, value: Any) -> list[Any]:
        """As a call, whatever it costs."""
        return [node.value for node in self._compiled.finditer(value)]


def environment() -> JSONPathEnvironment:
    """A query engine without regular expressions: some take for ever."""
    made = JSONPathEnvironment()
    for name in _REGEXES:
        made.function_extensions.pop(name, None)
    return made


def values_in(value: Any, most: int) -> int:
    """How many values `value` is made of, itself included; counting ends at `most`."""
    count, waiting = 1, [value]
    while waiting and count < most:
        found = waiting.pop()
        if type(found) is dict:
            count += len(found)
            waiting.extend(found.values())
        elif type(found) is list:
            count += len(found)
            waiting.extend(found)
    return min(count, most)


def _weight(query: JSONPathQuery) -> int:
    """How often a query may look at each value.

    Raises:
        InvalidInput: too often; or more than anybody can tell.
    """
    selections, looks = 1, 1
    for segment in query.segments:
        selections *= len(segment.selectors)
        for selector in segment.selectors:
            looks += _looks(selector.expression) if isinstance(selector, FilterSelector) else 1
    descents = sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in query.segments)
    if descents > 1:
        raise InvalidInput("path", "looks into everything (..) more than once")
    looks += DESCENT * descents
    if selections * looks > HEAVIEST:
        raise InvalidInput("path", "looks at the same values too often: select less at once")
    return selections * looks


def _looks(expression: Any) -> int:
    """How many values a filter looks at to judge one."""
    if isinstance(expression, FilterQuery):
        if not expression.query.singular_query():
            raise InvalidInput("path", "has a filter that looks at more than one value: name keys and indexes there")
        return 1 + len(expression.query.segments)
    parts = [getattr(expression, name, None) for name in ("expression", "left", "right")]
    return 1 + sum(_looks(part) for part in (*parts, *getattr(expression, "args", ())) if part is not None)
