"""Tables in CSV, Parquet and JSON files, read as a whole: small enough to be planned as one."""

import asyncio
import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.import_maps import ImportMap
from caudal.gateway_api.domain.import_rows import MAX_ROWS, Row, Sheet

MAX_BYTES = 32 * 1024 * 1024
"""Of a file; history has no bound, since it is not read here."""
MAX_COLUMNS = 500
PARQUET_S = 60.0
"""How long a Parquet file may take to be decoded."""
DELIMITERS = ",;\t|"
LISTS = ("items", "points", "variables", "owners", "data", "results", "rows")
"""Names under which a JSON object holds the rows."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_separator_line = re.compile(r"\s*sep=(.)[ \t]*(?:\r\n|\r|\n)", re.IGNORECASE)
"""Excel's own word about the delimiter; it shows it as no row."""
_half = re.compile("[\ud800-\udfff]")
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""Arrow's own allocator reserves a gigabyte of addresses at once, which a limit on addresses takes for memory."""


class ImportSheets:
    """Reads files of this machine."""

    async def read(self, path: Path, said: ImportMap) -> Sheet:
        content = await asyncio.to_thread(_bytes_of, path)
        if content.startswith(b"PAR1"):
            content = await _decoded_parquet(path)
        return await asyncio.to_thread(_sheet, content, said)


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput("file", f"cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise InvalidInput("file", f"has more than {MAX_BYTES} bytes: import it in parts")
    return content


def _sheet(content: bytes, said: ImportMap) -> Sheet:
    text = _text(content, said.encoding)
    is_json = text.lstrip()[:1] in ("[", "{")
    sheet = _json_sheet(text) if is_json else _csv_sheet(text, said.delimiter)
    if len(sheet.headers) > MAX_COLUMNS:
        raise InvalidInput("file", f"has {len(sheet.headers)} columns; at most {MAX_COLUMNS}")
    return sheet


def _text(content: bytes, encoding: str | None) -> str:
    text = _decoded(content, encoding)
    # There are encodings that write halves of characters, which nothing can be told in.
    if not text.isascii() and _half.search(text):
        raise InvalidInput("file", f"is no {encoding}: it has halves of characters")
    return text


def _decoded(content: bytes, encoding: str | None) -> str:
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    try:
        return content.decode(encoding or marked or "utf-8")
    except LookupError as error:
        raise InvalidInput("map.encoding", f"{str(encoding)[:40]!r} is no encoding") from error
    except UnicodeError as error:
        if encoding or marked or b"\0" in content:
            raise InvalidInput("file", f"is no {encoding or marked or 'text'}: {error}"[:200]) from error
        # What Excel calls CSV is Windows' own Latin-1, which leaves five bytes without a meaning.
        with suppress(UnicodeError):
            return content.decode("cp1252")
        return content.decode("latin-1")


def _json_sheet(text: str) -> Sheet:
    try:
        found: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput("file", f"is no JSON: {error}"[:200]) from error
    if isinstance(found, Mapping):
        found = next((found[name] for name in LISTS if isinstance(found.get(name), list)), [found])
    _check_rows(len(found))
    rows = [
        Row(place, entry) if isinstance(entry, Mapping) else Row(place, {}, "is no JSON object")
        for place, entry in enumerate(found, 1)
    ]
    return Sheet([*dict.fromkeys(name for row in rows for name in row.cells)], rows)


def _csv_sheet(text: str, delimiter: str | None) -> Sheet:
    if found := _separator_line.match(text):
        text, delimiter = text[found.end() :], delimiter or found[1]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter_of(text), strict=True)
    try:
        # A spreadsheet's last rows and columns are often there, and empty.
        filled = ((number, cells) for number, cells in enumerate(table, 1) if any(cell.strip() for cell in cells))
        rows = [*islice(filled, MAX_ROWS + 2)]
    except csv.Error as error:
        raise InvalidInput("file", f"line {table.line_num}: {error}") from error
    headers = _headers(rows[0][1] if rows else ())
    _check_rows(len(rows) - 1)
    return Sheet(headers, [*_csv_rows(rows[1:], headers)])


def _headers(cells: Sequence[str]) -> list[str]:
    headers = [cell.strip() for cell in cells]
    while headers and not headers[-1]:
        headers.pop()
    named = [header or f"column_{place}" for place, header in enumerate(headers, 1)]
    if len(set(named)) < len(named):
        raise InvalidInput("file", f"has two columns {max(named, key=named.count)!r}")
    return named


def _csv_rows(rows: Iterable[tuple[int, Sequence[str]]], headers: Sequence[str]) -> Iterator[Row]:
    for number, cells in rows:
        if len(cells) < len(headers) or any(cell.strip() for cell in cells[len(headers) :]):
            yield Row(number, {}, f"has {len(cells)} cells where the header has {len(headers)}")
        else:
            yield Row(number, dict(zip(headers, cells, strict=False)))


def _delimiter_of(text: str) -> str:
    """The delimiter that cuts the first line into the most cells.

    Raises:
        InvalidInput: none cuts it at all.
    """
    first = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    found = max(DELIMITERS, key=lambda delimiter: _cells_in(first, delimiter))
    if not first.strip():
        raise InvalidInput("file", "is empty")
    if found not in first:
        raise InvalidInput("map.delimiter", "no delimiter among , ; TAB | cuts the first line; say which it is")
    return found


def _cells_in(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error as error:
        raise InvalidInput("file", f"its first line is no row: {error}") from error


def _check_rows(count: int) -> None:
    if count > MAX_ROWS:
        raise InvalidInput("file", f"has more than {MAX_ROWS} rows: import it in parts")


async def _decoded_parquet(path: Path) -> bytes:
    """A Parquet file as JSON, by a process of its own with bounded memory and time.

    Raises:
        InvalidInput: it cannot be decoded, or is larger than it may be.
    """
    command = (sys.executable, "-m", "caudal.gateway_api.adapters.parquet_rows", str(path), str(MAX_ROWS))
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=os.environ | _FRUGAL
    )
    try:
        async with asyncio.timeout(PARQUET_S):
            output, reason = await child.communicate()
    except TimeoutError:
        raise InvalidInput("file", f"took more than {PARQUET_S:.0f} s to be decoded") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        last = reason.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise InvalidInput("file", f"cannot be decoded: {last or child.returncode}"[:200])
    return output
