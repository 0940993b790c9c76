"""InfluxDB over HTTP: requests that end in time, errors that are ours, InfluxQL's answers as tracks."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import aiohttp
import msgspec

from caudal.common.adapters.influx.errors import Missing, is_missing, judged
from caudal.common.domain.errors import Transient

PING_TIMEOUT_S = 4.0


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
        data: bytes | Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """The body of a successful answer.

        Raises:
            Transient: the server is away, overloaded, wants other credentials or does not answer in time.
            Refusal: it refuses what was sent.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        timeout = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s)
        try:
            async with self._session.request(
                method, self.url + path, params=params, data=data, timeout=timeout
            ) as response:
                body = await response.read()
        except TimeoutError as error:
            raise Transient(f"InfluxDB at {self.url} does not answer within {timeout.total} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"InfluxDB at {self.url}: {error}") from error
        if response.status >= 300:
            raise judged(response.status, reason_in(body), response.headers.get("Retry-After"))
        return body

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
        for line in (await self.request("POST", "/query", data=form)).splitlines():
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
