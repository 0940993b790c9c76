"""JSON as older systems export it: a list of objects, an object that holds one, or an object on each line.

Lines are read one by one, in constant memory; a document has to be small enough to be read whole.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.ingest.domain.windows import SAMPLE_ROWS, Row
from caudal.ingest.ports import Batch

MAX_DOCUMENT = 32 * 1024 * 1024
"""Bytes of a document; lines have no bound together."""
MAX_LINE = 1_048_576
"""Bytes of one line."""
ROWS_PER_BATCH = 500
LISTS = ("items", "data", "results", "rows", "readings", "history")
"""Names under which an object holds the rows."""

_decode_row = msgspec.json.Decoder(dict[str, Any]).decode
_Source = Iterator[tuple[int, bytes, str]]
"""Number of a row, its text, and why only its beginning is given."""


class JsonTable:
    """A JSON file, open.

    Raises:
        InvalidInput: it is no JSON, a document too large, or has no rows.
    """

    source_format = "json"
    unit = "bytes"

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self.total = path.stat().st_size
            is_lines, source = _opened(self._file)
            self.notes = ["an object on each line" if is_lines else "one JSON document"]
            found = (_found(*each) for each in source)
            self._sample = list(itertools.islice(found, SAMPLE_ROWS))
            self._found = itertools.chain(self._sample, found)
            self.headers = list(dict.fromkeys(name for each in self._sample for name in each[1]))
            if not self.headers:
                raise InvalidInput("file", "holds no JSON objects with fields")
        except BaseException:
            self._file.close()
            raise

    async def batches(self) -> AsyncIterator[Batch]:
        """All rows; the file is read in a thread."""
        while rows := await asyncio.to_thread(self._some):
            yield Batch(rows, self._file.tell())

    async def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _some(self) -> list[Row]:
        return [self._row(*each) for each in itertools.islice(self._found, ROWS_PER_BATCH)]

    def _row(self, number: int, found: Mapping[str, Any], fault: str) -> Row:
        new = found.keys() - set(self.headers)
        if new and not fault:
            fault = f"has {min(new)[:60]!r}, which none of the first {SAMPLE_ROWS} has"
        return Row(number, [found.get(header) for header in self.headers], fault)


def _found(number: int, text: bytes, fault: str) -> tuple[int, Mapping[str, Any], str]:
    try:
        return (number, {}, fault) if fault else (number, _decode_row(text), "")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return number, {}, f"is no JSON object: {error}"[:200]


def _opened(file: BinaryIO) -> tuple[bool, _Source]:
    """Whether each line is an object, and the rows."""
    first = file.readline(MAX_LINE).removeprefix(b"\xef\xbb\xbf")
    rest = file.read(MAX_LINE)
    file.seek(0)
    if first.lstrip().startswith(b"{") and rest.lstrip().startswith(b"{") and not _found(1, first, "")[2]:
        return True, _lines(file)
    return False, _elements(file.read(MAX_DOCUMENT + 1).removeprefix(b"\xef\xbb\xbf"))


def _lines(file: BinaryIO) -> _Source:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        fault = f"is longer than {MAX_LINE} bytes" if len(line) >= MAX_LINE else ""
        if text := line.removeprefix(b"\xef\xbb\xbf").strip():
            yield number, text, fault
        while fault and line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE)


def _elements(text: bytes) -> _Source:
    if len(text) > MAX_DOCUMENT:
        raise InvalidInput("file", f"is one document of more than {MAX_DOCUMENT} bytes: write an object on each line")
    try:
        found: Any = msgspec.json.decode(text, type=list[msgspec.Raw] | dict[str, msgspec.Raw])
        if isinstance(found, dict):
            name = next((name for name in LISTS if name in found), None)
            found = [text] if name is None else msgspec.json.decode(found[name], type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("file", f"is no JSON: {error}"[:200]) from error
    return ((number, bytes(each), "") for number, each in enumerate(found, 1))
