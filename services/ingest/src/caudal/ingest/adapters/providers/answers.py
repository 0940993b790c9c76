"""Rows of answers on their way to readings: whatever is in them is given on as it came, or told as unreadable."""

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from caudal.common.domain.payloads.numbers import MAX_INTEGER
from caudal.common.domain.payloads.refusals import Unreadable, printable, quoted
from caudal.common.domain.payloads.times import ReadTime
from caudal.ingest.domain.paging import RemoteRow, Strand
from caudal.ingest.domain.payloads import is_text, text_of
from caudal.ingest.ports import RemoteReading, UnreadableRow

MAX_PAYLOAD = 16_000
"""Characters of the rows kept beside a reading."""


MAX_UNREADABLE = 100
"""Unreadable rows of a page, and of a stretch, that are kept one by one; those beyond are counted."""


class Page(msgspec.Struct):
    """One answer, read."""

    strands: list[Strand]
    unreadable: list[UnreadableRow]
    raw: str = ""
    """The beginning of the answer, for people."""
    more_unreadable: int = 0
    """Rows that cannot be read either, beyond those that are kept."""

    def refuse(self, reason: str, item: Any) -> None:
        """Keep a row that cannot be read, or count it."""
        if len(self.unreadable) < MAX_UNREADABLE:
            self.unreadable.append(UnreadableRow(reason=reason, payload=text_of(item)[:MAX_PAYLOAD]))
        else:
            self.more_unreadable += 1


class Entry(msgspec.Struct, frozen=True):
    """One variable at one instant, not yet looked at."""

    variable: str
    time: Any
    value: Any
    item: Any


def page_of(strands: Iterable[tuple[int, Iterable[Entry]]], read_time: ReadTime, raw: str) -> Page:
    """A page of strands, each with its count of rows and its entries."""
    page = Page([], [], raw)
    for count, entries in strands:
        rows = [row for entry in entries if (row := _row(entry, read_time, page)) is not None]
        page.strands.append(Strand(rows, count))
    return page


def _row(entry: Entry, read_time: ReadTime, page: Page) -> RemoteRow | None:
    try:
        at = read_time(entry.time)
    except Unreadable as error:
        page.refuse(f"time: {error.reason}", entry.item)
        return None
    value = entry.value
    if not _is_value(value):
        page.refuse(printable(f"{entry.variable}: {quoted(value)} is no value"), entry.item)
        value = None
    return RemoteRow(entry.variable, at, value, entry.item)


def _is_value(value: Any) -> bool:
    """Whether `value` can travel as it is: neither bus nor store has infinities, huge integers or half characters."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -MAX_INTEGER < value < MAX_INTEGER
    return value is None or (isinstance(value, str) and is_text(value))


class _Draft:
    def __init__(self) -> None:
        self.values: dict[str, int | float | str | bool] = {}
        self.items: list[Any] = []


def readings_of(rows: Iterable[RemoteRow], mask: Callable[[str], str]) -> list[RemoteReading]:
    """Readings, oldest first; a variable that has another value in the same instant opens another reading."""
    drafts: dict[datetime, list[_Draft]] = {}
    for row in rows:
        if row.value is None:
            continue
        group = drafts.setdefault(row.measured_at, [_Draft()])
        if row.variable in group[-1].values:
            group.append(_Draft())
        group[-1].values[row.variable] = row.value
        if row.item not in group[-1].items:
            group[-1].items.append(row.item)
    return [
        RemoteReading(measured_at=at, values=draft.values, payload=mask(text_of(draft.items))[:MAX_PAYLOAD])
        for at, group in sorted(drafts.items(), key=lambda pair: pair[0])
        for draft in group
    ]
