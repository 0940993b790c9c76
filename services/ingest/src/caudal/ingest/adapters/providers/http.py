"""One bounded request: it ends in time, its answer fits in memory, and its secrets stay between the two of us."""

import asyncio
import logging
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec

from caudal.common.domain.payloads.refusals import Unreadable, printable
from caudal.common.domain.providers import Connection
from caudal.common.ports import Clock
from caudal.ingest.adapters.providers.egress import NotPublic, networks_from
from caudal.ingest.adapters.providers.failures import Failure, judged, permanent, retry_after_s, transient
from caudal.ingest.adapters.providers.masking import Mask
from caudal.ingest.adapters.providers.transport import AiohttpTransport
from caudal.ingest.domain.payloads import decode_payload

MAX_BODY = 8 * 1024 * 1024
"""Bytes of an answer, decompressed."""
MAX_RAW = 2_000
"""Characters of an answer that people are shown."""
CONNECT_S = 5.0
READ_S = 10.0
"""Longest silence in the middle of an answer."""
MAX_REDIRECTS = 3

Pace = Callable[[str, float | None], Awaitable[None]]
"""(host, the most requests in a second that its provider allows)."""

_ALL_KINDS_OF_DEFLATE = 47
_HEADERS = {"User-Agent": "caudal", "Accept": "application/json", "Accept-Encoding": "gzip"}


def open_http(networks: Iterable[str], connections: int = 100) -> httpx.AsyncClient:
    """A client for the requests of all providers; it keeps no cookies and takes no proxy from the environment.

    Args:
        networks: Where providers may be beside the public internet, such as `10.1.0.0/16`.
        connections: Open at once, at most.

    Raises:
        InvalidInput: a network is none.
    """
    transport = AiohttpTransport(connections, trust(), networks_from(networks))
    return httpx.AsyncClient(transport=transport, trust_env=False, cookies=_no_cookies(), follow_redirects=False)


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


@cache
def trust() -> ssl.SSLContext:
    """The authorities that we trust; reading them takes a while."""
    return httpx.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True, repr=False)
class Sent:
    """A request, with all its secrets."""

    path: str
    """Below the connection's address, each part of it quoted."""
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, str] | None = None
    """Posted as JSON; None: a GET."""
    link: str = ""
    """Address of a further page, as an answer gave it; it takes the place of `path`, and `params` are added to it."""


class Http:
    """Requests to one provider.

    Args:
        connection: Where it is.
        http: What carries them; its loggers are kept from writing addresses and headers.
        clock: What dates in answers are compared with.
        mask: Strikes out what nobody may see.
        pace: Returns when it is the turn of one more request to a host.
    """

    def __init__(
        self, connection: Connection, http: httpx.AsyncClient, clock: Clock, mask: Mask, pace: Pace | None = None
    ) -> None:
        self._base, self._timeout_s = connection.base_url.rstrip("/"), connection.timeout_s
        self._requests_per_s = connection.requests_per_s
        self._common = {**_HEADERS, **connection.headers}
        self._http, self._clock, self.mask, self._pace = http, clock, mask, pace
        self._host = httpx.URL(connection.base_url).netloc.decode("ascii", "replace")
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)

    async def json(self, sent: Sent) -> tuple[Any, str]:
        """What a successful answer holds, and its beginning for people; None, if it holds nothing (204).

        Raises:
            Failure: there is no such answer.
        """
        response, body = await self._answer(sent)
        start = printable(body[: 8 * MAX_RAW].decode("utf-8", "replace"))
        raw = self.mask.start_of(start, MAX_RAW, is_whole=len(body) <= 8 * MAX_RAW)
        if response.status_code >= 400:
            headers = response.headers
            pause = retry_after_s(headers.get("Retry-After"), self._clock.now(), headers.get("Date"))
            raise judged(self._host, response.status_code, raw[:500], pause)
        if response.status_code == 204:
            return None, ""
        return self._decoded(body, response, raw), raw

    def _decoded(self, body: bytes, response: httpx.Response, raw: str) -> Any:
        start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if start not in (b"{", b"[") or not start:
            kind = printable(response.headers.get("Content-Type", "something"))[:60]
            raise transient(f"{self._host} answers with {kind} instead of JSON", raw)
        try:
            return decode_payload(body)
        except Unreadable as error:
            raise transient(f"{self._host} gives an answer that {self.mask(error.reason)}", raw) from None

    async def _answer(self, sent: Sent) -> tuple[httpx.Response, bytes]:
        """The last answer of a chain of redirects that stays where it began."""
        query = urlencode(sent.params, quote_via=quote)
        url = self._linked(sent) if sent.link else self._base + sent.path + (f"?{query}" if query else "")
        for _ in range(MAX_REDIRECTS + 1):
            response, body = await self._bounded(url, sent)
            if not 300 <= response.status_code < 400:
                return response, body
            url = self._redirected(response, sent)
        raise permanent(f"{self._host} redirects in a circle")

    def _linked(self, sent: Sent) -> str:
        """Where a link to a further page leads; nowhere but to where we are, since our secrets go along."""
        try:
            here = httpx.URL(self._base + sent.path)
            there = here.join(sent.link)
        except (httpx.InvalidURL, ValueError):
            raise permanent(f"{self._host} gives a link that leads nowhere") from None
        if (here.scheme, here.netloc) != (there.scheme, there.netloc) or there.userinfo:
            place = printable(f"{there.scheme}://{there.host}")[:100]
            raise permanent(f"{self._host} gives a link to {place}, where our secrets have no business")
        return str(there.copy_merge_params(dict(sent.params)) if sent.params else there)

    def _redirected(self, response: httpx.Response, sent: Sent) -> str:
        """Where a redirect leads; our secrets go nowhere else."""
        try:
            here, there = response.request.url, response.request.url.join(response.headers["Location"])
        except (KeyError, httpx.InvalidURL, ValueError):
            raise permanent(f"{self._host} redirects to nowhere ({response.status_code})") from None
        if (here.scheme, here.netloc) != (there.scheme, there.netloc) or there.userinfo or sent.body is not None:
            place = printable(f"{there.scheme}://{there.host}")[:100]
            raise permanent(f"{self._host} redirects to {place}: set base_url, if that is where it is now")
        return str(there)

    async def _bounded(self, url: str, sent: Sent) -> tuple[httpx.Response, bytes]:
        if self._pace is not None:
            # Before the clock starts: that many others ask this host is no fault of its.
            await self._pace(self._host, self._requests_per_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._http.send(self._request(url, sent), stream=True, auth=None)
                try:
                    return response, await _body_as_far_as_it_matters(response, self._host)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException) as error:
            where = "cannot be reached" if isinstance(error, httpx.ConnectTimeout) else "does not answer"
            raise transient(f"{self._host} {where} within {self._timeout_s:g} s") from None
        except httpx.ConnectError as error:
            if isinstance(error.__cause__, NotPublic):
                raise permanent(f"{self._host} is on no public network, and on none that is allowed") from None
            raise transient(f"{self._host} cannot be reached{_why(error.__cause__)}") from None
        except httpx.LocalProtocolError:
            raise permanent(f"no such request can be sent to {self._host}: look at secrets and headers") from None
        except httpx.HTTPError as error:
            raise transient(f"{self._host} breaks off ({type(error).__name__})") from None

    def _request(self, url: str, sent: Sent) -> httpx.Request:
        silence_s = min(READ_S, self._timeout_s)
        timeout = httpx.Timeout(silence_s, connect=min(CONNECT_S, self._timeout_s), pool=self._timeout_s)
        content = None if sent.body is None else msgspec.json.encode(dict(sent.body))
        headers = {**self._common, **sent.headers}
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            return httpx.Request(
                "GET" if content is None else "POST",
                url,
                headers=headers,
                content=content,
                extensions={"timeout": timeout.as_dict()},
            )
        except (httpx.InvalidURL, ValueError):
            raise permanent(f"no such request can be sent to {self._host}: look at secrets and names") from None


def _why(error: BaseException | None) -> str:
    """What stood in the way, if somebody has to put it right."""
    match error:
        case ssl.SSLCertVerificationError():
            return f": its certificate is not trusted ({printable(error.verify_message)[:100]})"
        case ssl.SSLError():
            return ": it speaks no TLS that we do"
        case socket.gaierror():
            return ": nobody knows its name"
        case _:
            return ""


async def _body_as_far_as_it_matters(response: httpx.Response, host: str) -> bytes:
    """The whole body; nothing of one that is broken, where the status alone says what to do."""
    try:
        return await _body(response, host)
    except (Failure, httpx.TransportError):
        if response.status_code < 400:
            raise
        return b""


async def _body(response: httpx.Response, host: str) -> bytes:
    """The whole body. Decompressed here, a piece at a time: what is small on the way may be huge.

    Raises:
        Failure: it is too large, or broken.
    """
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "deflate", ""):
        raise transient(f"{host} answers in a compression that nobody asked for")
    inflate = zlib.decompressobj(_ALL_KINDS_OF_DEFLATE) if coding in ("gzip", "deflate") else None
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += inflate.decompress(chunk, MAX_BODY + 1 - len(body)) if inflate else chunk
            if len(body) > MAX_BODY:
                raise permanent(f"{host} answers with more than {MAX_BODY // 1024**2} MiB: set a smaller page_rows")
    except zlib.error:
        raise transient(f"{host} breaks its compression") from None
    if inflate and not inflate.eof:
        raise transient(f"{host} breaks off in the middle of its compression")
    return bytes(body)
