"""InfluxDB over HTTP: requests that end in time, errors that are ours, InfluxQL's answers as tracks."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from caudal.common.adapters.influx.errors import Missing, is_missing, judged
from caudal.common.domain.errors import Transient

PING_TIMEOUT_S = 4.0
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


Row = TypeVar("Row")


class Series(msgspec.Struct, Generic[Row]):
    """One table of an answer: the rows of one provider."""

    columns: list[str]
    values: list[Row]
    tags: dict[str, str] = {}


class _Result(msgspec.Struct, Generic[Row]):
    statement_id: int = 0
    series: list[Series[Row]] = []
    error: str = ""


class _Answer(msgspec.Struct, Generic[Row]):
    results: list[_Result[Row]] = []
    error: str = ""


Cells = list[Any]
"""A row of any answer."""
Numbers = tuple[int, *tuple[float | None, ...]]
"""A row of an answer that has a time and numbers."""


@cache
def _decoder(numbers: int | None) -> msgspec.json.Decoder[Any]:
    """For answers with so many numbers behind the time: several times faster than for any cells (None)."""
    row = Cells if numbers is None else tuple[(int, *[float | None] * numbers)]  # type: ignore[misc]
    return msgspec.json.Decoder(_Answer[row])  # type: ignore[valid-type]


class InfluxHttp:
    """Requests to one server, with its credentials."""

    def __init__(self, url: str, authorization: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        # compressing answers costs the server more time than it saves on the way
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": authorization} if authorization else {})
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """The body of a successful answer.

        Raises:
            Transient: the server is away, overloaded, wants other credentials or does not answer in time.
            Refusal: it refuses what was sent.
        """
        async with self._answered(method, path, timeout_s, params=params, data=data) as response:
            return await response.read()

    @asynccontextmanager
    async def _answered(
        self, method: str, path: str, timeout_s: float | None, **sent: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, while it comes; errors are those of `request`."""
        if self._session is None:
            # there are no cookies to be looked for each time
            self._session = aiohttp.ClientSession(headers=self._headers, cookie_jar=aiohttp.DummyCookieJar())
        timeout = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s)
        try:
            async with self._session.request(method, self.url + path, timeout=timeout, **sent) as response:
                if response.status >= 300:
                    said = reason_in(await response.read())
                    raise judged(response.status, said, response.headers.get("Retry-After"))
                yield response
        except TimeoutError as error:
            raise Transient(f"InfluxDB at {self.url} does not answer within {timeout.total} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"InfluxDB at {self.url}: {error}") from error

    async def query(self, database: str, statements: Sequence[str]) -> list[list[Series[Cells]]]:
        """The tables that each statement gives, times in microseconds.

        Raises:
            Transient: see `request`; or the server cannot carry out a statement now.
            Missing: the database isn't there.
            Refusal: a statement is none.
        """
        return await self._query(database, statements, _decoder(None))

    async def numbers(self, database: str, statements: Sequence[str], count: int) -> list[list[Series[Numbers]]]:
        """The same for statements that ask for `count` columns of numbers."""
        return await self._query(database, statements, _decoder(count))

    async def _query(
        self, database: str, statements: Sequence[str], decoder: msgspec.json.Decoder[Any]
    ) -> list[list[Series[Any]]]:
        # in one piece, a server may cut an answer off at its `max-row-limit`; in chunks it never does
        form = {"db": database, "epoch": "u", "q": ";".join(statements), "chunked": "true", "chunk_size": "10000"}
        tables: list[list[Series[Any]]] = [[] for _ in statements]
        async with self._answered("POST", "/query", None, data=urlencode(form).encode(), headers=_FORM) as response:
            async for line in _lines(response.content):
                try:
                    chunk = decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise Transient(f"{self.url} gives an answer that is not InfluxDB's: {error}") from error
                _raise_for(chunk)
                for result in chunk.results:
                    _add(result.series, tables[result.statement_id])
        return tables

    async def ping(self) -> None:
        """Return if the server answers."""
        await self.request("GET", "/ping", timeout_s=min(PING_TIMEOUT_S, self._timeout_s))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of an answer as they come: one is read while the server makes the next, and none is too long."""
    begun: list[bytes] = []
    async for piece in content.iter_any():
        first, *others = piece.split(b"\n")
        begun.append(first)
        for other in others:
            if line := b"".join(begun):
                yield line
            begun = [other]
    if line := b"".join(begun):
        yield line


def _raise_for(answer: _Answer[Any]) -> None:
    """Raise what an answer says went wrong, if anything."""
    for error in (answer.error, *(result.error for result in answer.results)):
        if error:
            raise Missing(f"InfluxDB: {error}") if is_missing(error) else Transient(f"InfluxDB: {error}")


def _add(chunk: Sequence[Series[Any]], tables: list[Series[Any]]) -> None:
    """Put the tables of a chunk behind those already there; the first may go on where the last one ended."""
    for table in chunk:
        if tables and tables[-1].tags == table.tags:
            tables[-1].values += table.values
        else:
            tables.append(table)


def reason_in(body: bytes) -> str:
    """What an error's body says: `error` in 1.x, `message` in 2.x, or the text itself."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")[:500]
    return str(said.get("message") or said.get("error") or said)
