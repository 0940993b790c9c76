"""InfluxDB over HTTP: requests that end in time, errors that are ours, InfluxQL's answers as tracks."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import msgspec

from caudal.common.adapters.influx.errors import Missing, is_missing, judged
from caudal.common.domain.errors import Transient

PING_TIMEOUT_S = 4.0


class Series(msgspec.Struct):
    """One table of an answer: the rows of one provider."""

    columns: list[str]
    values: list[list[Any]]
    tags: dict[str, str] = {}


class _Result(msgspec.Struct):
    statement_id: int = 0
    series: list[Series] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str = ""


_answer = msgspec.json.Decoder(_Answer)


class InfluxHttp:
    """Requests to one server, with its credentials."""

    def __init__(self, url: str, authorization: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": authorization} if authorization else {}
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

    async def query(self, database: str, statements: Sequence[str]) -> list[list[Series]]:
        """The tables that each statement gives, times in microseconds.

        Raises:
            Transient: see `request`; or the server cannot carry out a statement now.
            Missing: the database isn't there.
            Refusal: a statement is none.
        """
        # in one piece, a server may cut an answer off at its `max-row-limit`; in chunks it never does
        form = {"db": database, "epoch": "u", "q": ";".join(statements), "chunked": "true", "chunk_size": "10000"}
        tables: list[list[Series]] = [[] for _ in statements]
        for line in (await self.request("POST", "/query", data=form)).splitlines():
            try:
                chunk = _answer.decode(line)
            except msgspec.DecodeError as error:
                raise Transient(f"{self.url} gives an answer that is not InfluxDB's: {error}") from error
            _raise_for(chunk)
            for result in chunk.results:
                _add(result.series, tables[result.statement_id])
        return tables

    async def ping(self) -> None:
        """Return if the server answers."""
        await self.request("GET", "/ping", timeout_s=min(PING_TIMEOUT_S, self._timeout_s))


def _raise_for(answer: _Answer) -> None:
    """Raise what an answer says went wrong, if anything."""
    for error in (answer.error, *(result.error for result in answer.results)):
        if error:
            raise Missing(f"InfluxDB: {error}") if is_missing(error) else Transient(f"InfluxDB: {error}")


def _add(chunk: Sequence[Series], tables: list[Series]) -> None:
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
