"""What answers of any API hold, as their connection describes it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from caudal.common.domain.payloads.instants import Instants
from caudal.common.domain.payloads.layouts import rows_of
from caudal.common.domain.payloads.paths import all_finder, finder, first_finder, paths_of
from caudal.common.domain.payloads.refusals import Refusal, Unreadable, printable, quoted
from caudal.common.domain.payloads.work import bounded_work
from caudal.common.domain.providers import GenericConnection
from caudal.ingest.adapters.providers.answers import Entry, Page, page_of
from caudal.ingest.adapters.providers.failures import transient, unsuccessful

FOREIGN = ""
"""Variable of rows that are none of ours: they count when it is judged whether an answer was cut off."""

Keys = Mapping[str, str]
"""Variable code → key: those that one request asks for."""


class GenericAnswers:
    """Reads answers.

    Args:
        connection: Where things are in them.
        zone: Of times without one, where the connection does not say.
        mask: Strikes out secrets.
        is_keyed: Whether each variable is asked for by itself.
    """

    def __init__(
        self, connection: GenericConnection, zone: str | None, mask: Callable[[str], str], *, is_keyed: bool
    ) -> None:
        self._connection, self._mask, self._is_keyed = connection, mask, is_keyed
        self._instants = Instants(connection.time, zone)
        self._is_apart = any("{key}" in path for path in paths_of(connection.readings))
        self._success = [(path, finder(path), values) for path, values in connection.success.items()]
        self._message = first_finder(connection.message)
        self._value, self._variable = first_finder(connection.value), first_finder(connection.variable)
        self._cursor = first_finder(connection.cursor)

    def page(self, answer: Any, keys: Keys, raw: str) -> Page:
        """The rows of an answer; None: it has none.

        Raises:
            Failure: it is no such answer.
        """
        with bounded_work():
            return page_of(self._strands(answer, keys, raw), partial(self._instant, answer), raw)

    def next_cursor(self, answer: Any) -> str:
        """Where an answer says that the next page begins; empty: it was the last."""
        found = self._cursor(answer, answer) if self._cursor else None
        return str(found) if isinstance(found, int | str) and found is not False else ""

    def _instant(self, answer: Any, item: Any) -> datetime:
        at = self._instants.find(item, answer, None)
        if at is None:
            raise Unreadable(Refusal.TIME, "", "is missing")
        return at

    def judge(self, answer: Any, raw: str) -> None:
        """Raise, if an answer says of itself that it is none."""
        for path, find, values in self._success:
            found = find(answer, answer)
            if not any(type(found) is type(value) and found == value for value in values):
                why = self._message(answer, answer) if self._message else None
                said = f": {self._mask(printable(str(why)))[:200]}" if why else ""
                raise unsuccessful(f"the answer's {path} is {self._mask(quoted(found))}{said}", raw)

    def _strands(self, answer: Any, keys: Keys, raw: str) -> list[tuple[int, list[Entry]]]:
        try:
            return [] if answer is None else self._found_strands(answer, keys, raw)
        except Unreadable as error:
            raise transient(f"what stands at {self._where()} {error.reason}", raw) from None

    def _found_strands(self, answer: Any, keys: Keys, raw: str) -> list[tuple[int, list[Entry]]]:
        if self._is_apart:
            return self._apart(answer, keys, raw)
        nodes = self._nodes(answer, "", raw)
        if self._connection.form == "series":
            return [self._series(node, code, key, raw) for node in nodes for code, key in keys.items()]
        items = self._rows(nodes, raw)
        read = self._row_entries if self._connection.form == "rows" else self._entry
        return [(len(items), [entry for item in items for entry in read(item, answer, keys)])]

    def _apart(self, answer: Any, keys: Keys, raw: str) -> list[tuple[int, list[Entry]]]:
        """Each variable's own rows; where none has a place for them, something else was answered."""
        found = {code: self._found(answer, key) for code, key in keys.items()}
        if not any(found.values()):
            raise transient(f"nothing stands at {self._where()}, where rows are expected", raw)
        strands = [(code, self._rows(nodes, raw)) for code, nodes in found.items()]
        return [
            (len(items), [Entry(code, item, self._found_value(item), {keys[code]: item}) for item in items])
            for code, items in strands
        ]

    def _rows(self, nodes: list[Any], raw: str) -> list[Any]:
        items = [item for node in nodes for item in rows_of(node, self._connection.layout)]
        if not all(isinstance(item, dict | list) for item in items):
            raise transient(f"a row at {self._where()} is no object", raw)
        return items

    def _nodes(self, answer: Any, key: str, raw: str) -> list[Any]:
        """What stands where rows are expected. Nothing there is not the same as no rows."""
        if nodes := self._found(answer, key):
            return nodes
        raise transient(f"nothing stands at {self._where()}, where rows are expected", raw)

    def _found(self, answer: Any, key: str) -> list[Any]:
        plain = key.replace("\\", "\\\\").replace("'", "\\'")
        for path in paths_of(self._connection.readings):
            if nodes := all_finder(path.replace("{key}", plain))(answer):
                return nodes
        return []

    def _series(self, node: Any, code: str, key: str, raw: str) -> tuple[int, list[Entry]]:
        if not isinstance(node, dict):
            raise transient(f"what stands at {self._where()} is no object from key to a list of rows", raw)
        held = node.get(key)
        if held is not None and self._connection.layout == "list" and not isinstance(held, list):
            raise transient(f"what stands at {self._where()} is no object from key to a list of rows", raw)
        items = [] if held is None else self._rows([held], raw)
        return len(items), [Entry(code, item, self._found_value(item), {key: item}) for item in items]

    def _row_entries(self, item: Any, answer: Any, keys: Keys) -> list[Entry]:
        return [Entry(code, item, finder(key)(item, answer), item) for code, key in keys.items()]

    def _entry(self, item: Any, answer: Any, keys: Keys) -> list[Entry]:
        if self._is_keyed:
            codes = list(keys)
        else:
            name = self._variable(item, answer) if self._variable else None
            codes = [code for code, key in keys.items() if key == str(name)] or [FOREIGN]
        return [Entry(code, item, self._found_value(item) if code != FOREIGN else None, item) for code in codes]

    def _found_value(self, item: Any) -> Any:
        return self._value(item, item) if self._value else None

    def _where(self) -> str:
        return quoted(" or ".join(paths_of(self._connection.readings)))
