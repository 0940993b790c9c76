"""Carries httpx's requests over aiohttp.

httpx's own pool looks at every connection for each of them: with fifty providers asked at once it takes several times
the processor time. And aiohttp lets us look at addresses before it connects.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import aiohttp
import httpx
from yarl import URL

from caudal.ingest.adapters.providers.egress import Guard, Network, NotPublic


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Connections to all providers; no cookies, no proxy, no redirects.

    Args:
        connections: Open at once, at most.
        trust: Authorities for https.
        networks: Where requests may go beside the public internet.
    """

    def __init__(self, connections: int, trust: ssl.SSLContext, networks: Sequence[Network]) -> None:
        self._connections, self._trust, self._guard = connections, trust, Guard(networks)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx's."""
        allowed = request.extensions.get("timeout", {})
        timeout = aiohttp.ClientTimeout(
            total=None, connect=allowed.get("pool"), sock_connect=allowed.get("connect"), sock_read=allowed.get("read")
        )
        address = request.url.copy_with(raw_path=b"/")
        with _errors_of_httpx():
            self._guard.check(request.url.host)
            answer = await self._opened().request(
                request.method,
                URL(f"{str(address).removesuffix('/')}{request.url.raw_path.decode()}", encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                timeout=timeout,
                allow_redirects=False,
            )
        return httpx.Response(answer.status, headers=list(answer.raw_headers), stream=_Body(answer))

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        """The session; made where there is an event loop for it."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections, ssl=self._trust, resolver=self._guard)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
            )
        return self._session


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Give the connection back if all was read, or close it."""
        self._answer.release()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except TimeoutError as error:
        raise httpx.ReadTimeout("no answer in time") from error
    except NotPublic as error:
        raise httpx.ConnectError("not public") from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError("no connection") from error.os_error
    except ValueError as error:
        raise httpx.LocalProtocolError("no such request") from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.RemoteProtocolError(type(error).__name__) from error
