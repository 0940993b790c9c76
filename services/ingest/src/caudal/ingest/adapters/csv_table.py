"""CSV as it is found: any delimiter and encoding, byte order marks, stray quotes; read line by line."""

import asyncio
import codecs
import csv
import io
import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import AnyStr, NamedTuple

from caudal.common.domain.errors import InvalidInput
from caudal.ingest.domain.options import Options
from caudal.ingest.domain.sniffing import check_first_line, sniff_delimiter
from caudal.ingest.domain.windows import Row
from caudal.ingest.ports import Batch

SAMPLE_BYTES = 65_536
"""How much of the file tells delimiter and encoding."""
MAX_LINE = 1_048_576
"""Characters of one line."""
ROWS_PER_BATCH = 500

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_separator_line = re.compile(r"sep=(.)\s*\Z", re.IGNORECASE)


class CsvTable:
    """A CSV file, open.

    Raises:
        InvalidInput: it is empty, or no delimiter can be made out.
    """

    source_format = "csv"
    unit = "bytes"

    def __init__(self, path: Path, options: Options) -> None:
        self._file = path.open("rb")
        self._lines = _Lines(self._file, options.encoding)
        try:
            self.total = path.stat().st_size
            self.headers: list[str] = []
            self.delimiter = self._delimiter(options.delimiter)
            self._rows = self._read()
            header = next(self._rows, None)
            if header is None or header.fault:
                raise InvalidInput("file", header.fault if header else "is empty")
        except BaseException:
            self._lines.close()
            raise
        self.headers = [str(cell) for cell in header.cells]
        shown = {"\t": "TAB"}.get(self.delimiter, self.delimiter)
        self.notes = [f"delimiter {shown}, encoding {self._lines.encoding}"]

    async def batches(self) -> AsyncIterator[Batch]:
        """All rows behind the header; the file is read in a thread."""
        while rows := await asyncio.to_thread(self._some):
            yield Batch(rows, self._file.tell())

    async def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _some(self) -> list[Row]:
        return list(itertools.islice(self._rows, ROWS_PER_BATCH))

    def _delimiter(self, given: str | None) -> str:
        lines = self._lines.ahead(SAMPLE_BYTES)
        check_first_line(lines[0] if lines else "")
        found = _separator_line.match(lines[0]) if lines else None
        if found:
            next(self._lines)
        if given or found:
            return given or (found[1] if found else "")
        if not any(line.strip() for line in lines):
            raise InvalidInput("file", "is empty")
        return sniff_delimiter(lines[:200])

    def _read(self) -> Iterator[Row]:
        reader = self._reader()
        while True:
            self._lines.begin_row()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Perhaps a stray quote swallowed what follows: only its own line is lost, the others are read again.
                first = self._lines.give_back_all_but_first()
                yield Row(self._lines.row_number, [first.rstrip("\r\n")], f"is no row: {error}")
                reader = self._reader()
                continue
            if any(cells):
                yield Row(self._lines.row_number, cells, self._lines.fault or self._cut_off(cells))

    def _cut_off(self, cells: Sequence[str]) -> str:
        """Why the last row is none, if the file ends within it; where that cannot be told, it is noted."""
        if self._lines.row_has_end or not self.headers:
            return ""
        if len(cells) < len(self.headers):
            return f"is cut off: it has {len(cells)} of {len(self.headers)} cells and no line end"
        self.notes.append("the last line has no line end: if the file was cut off there, so was its last value")
        return ""

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines, delimiter=self.delimiter, strict=True)


class _Lines:
    """Lines of a file as text, numbered, some of which can be given back."""

    def __init__(self, file: io.BufferedReader, encoding: str | None) -> None:
        start = file.peek(4)[:4]
        marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
        self.encoding = encoding or marked or "utf-8"
        self.row_number = 1
        self.fault = ""
        """Why a line of this row could not be taken whole."""
        self._number = 0
        self._taken: list[_Line] = []
        self._waiting: list[_Line] = []
        self._text: io.TextIOWrapper | None = None
        self._file = file
        self._source = self._strictly(file) if encoding or marked else self._leniently(file)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else next(self._source)
        self._number += 1
        self._taken.append(line)
        self.fault = self.fault or line.fault
        return line.text

    @property
    def row_has_end(self) -> bool:
        """Whether the last line taken ends as lines do."""
        return not self._taken or self._taken[-1].text.endswith(("\n", "\r"))

    def close(self) -> None:
        """Close the file."""
        (self._text or self._file).close()

    def begin_row(self) -> None:
        """The next line begins a row."""
        self.row_number = self._number + 1
        self.fault = ""
        self._taken = []

    def give_back_all_but_first(self) -> str:
        """The first line of this row; the others will be read again."""
        self._waiting += reversed(self._taken[1:])
        self._number -= len(self._taken) - 1
        return self._taken[0].text

    def ahead(self, size: int) -> list[str]:
        """The next lines, about so many characters, without taking them."""
        lines: list[_Line] = []
        while size > 0 and (line := next(self._source, None)) is not None:
            lines.append(line)
            size -= len(line.text)
        self._waiting += reversed(lines)
        return [line.text for line in lines]

    def _strictly(self, file: io.BufferedReader) -> Iterator["_Line"]:
        try:
            # Held on to: letting go of the wrapper would close the file under the hands of its owner.
            self._text = io.TextIOWrapper(file, self.encoding, newline="")
            for line, fault in _cut(self._text.readline, "\n"):
                yield _Line(line, fault)
        except LookupError as error:
            raise InvalidInput("encoding", f"{self.encoding[:40]!r} is unknown") from error
        except UnicodeError as error:
            raise InvalidInput("encoding", f"the file is no {self.encoding}: {error}"[:300]) from error

    def _leniently(self, file: io.BufferedReader) -> Iterator["_Line"]:
        """UTF-8, and Latin-1 for each line that is none: nobody has to read the whole file first."""
        for line, fault in _cut(file.readline, b"\n"):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                text, self.encoding = line.decode("latin-1"), "latin-1"
            yield _Line(text, fault)


class _Line(NamedTuple):
    text: str
    fault: str


def _cut(readline: Callable[[int], AnyStr], newline: AnyStr) -> Iterator[tuple[AnyStr, str]]:
    """Lines with nothing, or with the reason why only their beginning is given."""
    while line := readline(MAX_LINE):
        fault = f"is longer than {MAX_LINE} characters" if len(line) >= MAX_LINE else ""
        yield line, fault
        while fault and line and not line.endswith(newline):
            line = readline(MAX_LINE)
