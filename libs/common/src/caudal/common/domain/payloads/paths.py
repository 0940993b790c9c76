"""Where something stands in a payload: plain keys, indexes, or any RFC 9535 query, compiled once.

`flow`, `data.flow`, `channels[0]` and `@['a.b']` are looked up in the reading; a query that begins with `$` is
looked up in the whole payload. `@` is the reading itself.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jsonpath_rfc9535 import JSONPathError

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.payloads.work import Query, environment

Find = Callable[[Any, Any], Any]
"""(reading, payload) → what stands there; None: nothing, or null."""
FindAll = Callable[[Any], list[Any]]
"""payload → everything that stands there."""

Paths = str | tuple[str, ...]
"""One path, or several of which the first that finds something counts."""

MAX_PATH = 300
"""Characters of a path."""

_ENGINE = environment()

_name = r"[^\s.\[\]@$*'\"?()]+"
_plain = re.compile(rf"(?:[$@](?=$|\.|\[)\.?)?(?P<keys>(?:{_name}|\[-?\d+\])(?:\.{_name}|\[-?\d+\])*)?")
_key = re.compile(rf"\[(?P<index>-?\d+)\]|(?P<name>{_name})")


@lru_cache(maxsize=4096)
def finder(path: str) -> Find:
    """The lookup that `path` describes; of several matches the first counts.

    Raises:
        InvalidInput: it is no path; the reason says where.
    """
    of_payload = path.startswith("$")
    keys = plain_keys(path)
    if keys is not None:
        find = _by_keys(keys)
        return (lambda reading, payload: find(payload, payload)) if of_payload else find
    query = _query(path)

    def find_by_query(reading: Any, payload: Any) -> Any:
        found = query(payload if of_payload else reading, of_payload)
        return found[0] if found else None

    return find_by_query


def first_finder(paths: Paths) -> Find | None:
    """The lookup of the first of `paths` that finds something; None: there are no paths."""
    finders = [finder(path) for path in paths_of(paths)]
    if len(finders) < 2:
        return finders[0] if finders else None

    def find(reading: Any, payload: Any) -> Any:
        for each in finders:
            found = each(reading, payload)
            if found is not None:
                return found
        return None

    return find


@lru_cache(maxsize=4096)
def all_finder(path: str) -> FindAll:
    """Every value that `path` finds in a payload.

    Raises:
        InvalidInput: it is no path; the reason says where.
    """
    keys = plain_keys(path)
    if keys is None:
        query = _query(path)
        return lambda payload: query(payload, False)
    find = _by_keys(keys)
    return lambda payload: [] if (found := find(payload, payload)) is None else [found]


def paths_of(paths: Paths) -> tuple[str, ...]:
    """`paths` as a tuple, whichever way they are written."""
    return paths if isinstance(paths, tuple) else (paths,) if paths else ()


def checked_paths(paths: Paths, field: str) -> None:
    """Nothing, if all are paths.

    Raises:
        InvalidInput: one of them is not; the error names `field`.
    """
    for path in paths_of(paths):
        try:
            finder(path)
        except InvalidInput as error:
            raise InvalidInput(field, error.reason) from error


def plain_keys(path: str) -> tuple[str | int, ...] | None:
    """The keys and indexes of a path that needs no query engine; None if it needs one."""
    found = _plain.fullmatch(path) if 0 < len(path) <= MAX_PATH else None
    if not found:
        return None
    return tuple(
        int(key["index"]) if key["index"] is not None else key["name"] for key in _key.finditer(found["keys"] or "")
    )


def _by_keys(keys: tuple[str | int, ...]) -> Find:
    if len(keys) == 1 and isinstance(keys[0], str):
        only = keys[0]
        return lambda reading, payload: reading.get(only) if type(reading) is dict else None

    def find(reading: Any, payload: Any) -> Any:
        found = reading
        for key in keys:
            if type(found) is dict and type(key) is str:
                found = found.get(key)
            elif type(found) is list and type(key) is int and -len(found) <= key < len(found):
                found = found[key]
            else:
                return None
        return found

    return find


def _query(path: str) -> Callable[[Any, bool], list[Any]]:
    if not path or len(path) > MAX_PATH:
        raise InvalidInput("path", f"must have 1 to {MAX_PATH} characters")
    try:
        text = path if path.startswith("$") else f"${path[1:]}" if path[0] == "@" else f"$.{path}"
        query = Query(path, _ENGINE.compile(text))
    except (JSONPathError, RecursionError) as error:
        raise InvalidInput("path", f"{path!r} is no JSON path: {error.args[0] if error.args else error}") from error

    def find(value: Any, is_whole: bool) -> list[Any]:
        try:
            return query(value, is_whole)
        except (JSONPathError, RecursionError) as error:
            raise Unreadable(Refusal.SHAPE, path, f"cannot be looked up: {error}") from error

    return find
