"""A mapping made ready: payload in, readings and reasons out. Whatever the payload, never an exception."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from caudal.common.domain.payloads.instants import Instants
from caudal.common.domain.payloads.layouts import Layout, rows_of
from caudal.common.domain.payloads.mapping import Mapping
from caudal.common.domain.payloads.paths import all_finder, first_finder, paths_of, plain_keys
from caudal.common.domain.payloads.refusals import Refusal, Unreadable, quoted
from caudal.common.domain.payloads.times import AHEAD
from caudal.common.domain.payloads.values import Values, ValuesReader, code_of
from caudal.common.domain.payloads.work import bounded_work
from caudal.common.domain.payloads.zones import Zones

MAX_READINGS = 10_000
"""Readings or entries in one payload; no message of 256 KiB holds more that mean something."""


class Measurement(msgspec.Struct, frozen=True):
    """One reading, read."""

    device: str | None
    """Who measured, if the payload says so."""
    measured_at: datetime
    is_timed: bool
    """Whether the payload says when; if not, `measured_at` is the time of receipt."""
    logged_at: datetime | None
    values: dict[str, int | float]
    problems: dict[str, str]
    item: Any
    """The part of the payload that it was read from."""


class Outcome(msgspec.Struct):
    """What became of one payload."""

    readings: list[Measurement]
    refused: list[Unreadable]


class Reader:
    """Reads payloads of one kind.

    Args:
        mapping: Where things stand.
        zone: Of times without one, if the mapping doesn't say, or the zones that held one after the other; None: such
            times are refused.

    Raises:
        InvalidInput: the zone is none.
    """

    def __init__(self, mapping: Mapping, zone: str | Zones | None = None) -> None:
        self._locations = [all_finder(path) for path in paths_of(mapping.readings)]
        self._where = " or ".join(paths_of(mapping.readings))
        self._device = first_finder(mapping.device)
        self._time = Instants(mapping.time, zone)
        self._logged = Instants(mapping.logged, zone) if mapping.logged else None
        self._values = ValuesReader(mapping)
        self._read_items: Callable[[list[Any], Any, datetime], Outcome] = self._rows
        if mapping.form != "rows":
            self._read_items = self._entries
        self._is_series = mapping.form == "series"
        self._layout = mapping.layout
        self._has_queries = any(plain_keys(path) is None for path in mapping.paths())
        self._variable, self._variable_name = first_finder(mapping.variable), "/".join(paths_of(mapping.variable))
        self._value = first_finder(mapping.value)

    def read(self, payload: Any, received_at: datetime) -> Outcome:
        """The readings in `payload`, in its order, and the reasons why parts of it are none."""
        try:
            if not self._has_queries:
                return self._read_items(self._items(payload), payload, received_at)
            with bounded_work():
                return self._read_items(self._items(payload), payload, received_at)
        except Unreadable as error:
            return Outcome([], [error.kept()])

    def _items(self, payload: Any) -> list[Any]:
        for find in self._locations:
            nodes = find(payload)
            if nodes:
                break
        else:
            raise Unreadable(Refusal.SHAPE, self._where, "nothing there")
        items: list[Any] = []
        for node in nodes:
            items.extend(self._laid_out(node))
        if not items:
            raise Unreadable(Refusal.SHAPE, self._where, "is an empty list")
        return _bounded(items)

    def _laid_out(self, node: Any) -> list[Any]:
        try:
            return rows_of(node, "list" if self._is_series else self._layout)
        except Unreadable as error:
            raise error.under(self._where) from None

    # ---------------------------------------------------------------- rows

    def _rows(self, items: list[Any], payload: Any, received_at: datetime) -> Outcome:
        outcome, latest = Outcome([], []), received_at + AHEAD
        for index, item in enumerate(items):
            try:
                outcome.readings.append(self._row(item, payload, received_at, latest))
            except Unreadable as error:
                outcome.refused.append((error.under(f"[{index}]") if len(items) > 1 else error).kept())
        return outcome

    def _row(self, item: Any, payload: Any, received_at: datetime, latest: datetime) -> Measurement:
        if type(item) is not dict and type(item) is not list:
            raise Unreadable(Refusal.SHAPE, self._where, f"{quoted(item)} is no object")
        own_time = self._time.find(item, payload, latest)
        values = self._values.of(item, payload)
        logged_at = self._logged_at(item, payload) if self._logged else None
        return Measurement(
            self._device_of(item, payload),
            own_time or received_at,
            own_time is not None,
            logged_at,
            values.numbers,
            values.problems,
            item,
        )

    def _device_of(self, item: Any, payload: Any) -> str | None:
        name = self._device(item, payload) if self._device else None
        if type(name) is int or (type(name) is str and name):
            return code_of(str(name))
        return None

    def _logged_at(self, item: Any, payload: Any) -> datetime | None:
        """The logger's time, if it can be read; it is no reason to lose a measurement, and the payload keeps it."""
        try:
            return self._logged.find(item, payload, None) if self._logged else None
        except Unreadable:
            return None

    # ---------------------------------------------------------------- entries and series

    def _entries(self, items: list[Any], payload: Any, received_at: datetime) -> Outcome:
        """One reading per device and instant; a variable that comes twice in an instant opens another reading."""
        outcome, latest = Outcome([], []), received_at + AHEAD
        drafts: dict[tuple[str | None, datetime, bool], list[_Draft]] = {}
        for field, name, entry in self._named(items, payload, outcome):
            try:
                own_time = self._time.find(entry, payload, latest)
                key = (self._device_of(entry, payload), own_time or received_at, own_time is not None)
                number = self._values.of_entry(name, self._value(entry, payload) if self._value else None)
            except Unreadable as error:
                outcome.refused.append(error.under(field).kept())
                continue
            if number is not None:
                _place(drafts.setdefault(key, [_Draft()]), *number, entry)
        for key, group in drafts.items():
            for draft in group:
                self._finish(draft, key, payload, outcome)
        return outcome

    def _named(self, items: list[Any], payload: Any, outcome: Outcome) -> Iterator[tuple[str, str, Any]]:
        """(field, variable's name, entry) of each entry that has a name."""
        pairs = _of_series(items, self._layout) if self._is_series else ((None, item) for item in items)
        for index, (series, entry) in enumerate(_bounded(list(pairs))):
            name = series if series is not None else self._variable(entry, payload) if self._variable else None
            if type(name) is int or (type(name) is str and name):
                yield f"[{index}]", str(name), entry
            else:
                where = f"[{index}].{self._variable_name}"
                outcome.refused.append(Unreadable(Refusal.SHAPE, where, f"{quoted(name)} names no variable"))

    def _finish(self, draft: "_Draft", key: tuple[str | None, datetime, bool], payload: Any, outcome: Outcome) -> None:
        device, at, is_timed = key
        try:
            values = draft.values.checked()
        except Unreadable as error:
            outcome.refused.append(error.under(at.isoformat()).kept())
            return
        logged_at = self._logged_at(draft.entries[0], payload)
        outcome.readings.append(
            Measurement(device, at, is_timed, logged_at, values.numbers, values.problems, draft.entries)
        )


class _Draft:
    """A reading that grows entry by entry."""

    __slots__ = ("entries", "values")

    def __init__(self) -> None:
        self.values = Values({}, {})
        self.entries: list[Any] = []


def _place(drafts: list[_Draft], code: str, parsed: int | float | str | None, entry: Any) -> None:
    known = drafts[-1].values
    if code in known.numbers or code in known.problems:
        if parsed in (known.numbers.get(code), known.problems.get(code)):
            return
        drafts.append(_Draft())
    drafts[-1].entries.append(entry)
    drafts[-1].values.put(code, parsed)


def _of_series(items: list[Any], layout: Layout) -> Iterable[tuple[str | None, Any]]:
    for item in items:
        if type(item) is not dict:
            raise Unreadable(Refusal.SHAPE, "", f"{quoted(item)} is no object of variables")
        for name, entries in item.items():
            try:
                rows = rows_of(entries, layout)
            except Unreadable as error:
                raise error.under(str(name)) from None
            yield from ((str(name), row) for row in rows)


def _bounded(items: list[Any]) -> list[Any]:
    if len(items) > MAX_READINGS:
        raise Unreadable(Refusal.SHAPE, "", f"holds {len(items)} readings, more than {MAX_READINGS}")
    return items
