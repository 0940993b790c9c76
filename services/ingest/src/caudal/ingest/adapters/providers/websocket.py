"""WebSockets of providers, on connections that go only where they may."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import WSMsgType

from caudal.common.domain.catalog import Provider
from caudal.common.domain.errors import Permanent, Transient
from caudal.common.domain.payloads.refusals import printable
from caudal.common.domain.provider_feeds import FeedConnection, FeedSettings, Resume, feed_settings, filled, secret_of
from caudal.common.domain.providers import Authentication
from caudal.ingest.adapters.providers.egress import Guard, NotPublic, networks_from
from caudal.ingest.adapters.providers.http import MAX_RAW, trust
from caudal.ingest.adapters.providers.masking import Mask

OPEN_S = 15.0
"""How long it may take until all is said that we say first."""
CONNECT_S = 5.0
CLOSE_S = 2.0
"""How long a provider may take to say goodbye."""

_NOT_PUBLIC = " is on no public network, and on none that is allowed"

Socket = aiohttp.ClientWebSocketResponse[bool]
Next = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


class Elsewhere(aiohttp.ClientError):
    """The provider sends us to another address, where our secrets have no business."""


class WebsocketFeeds:
    """`Feeds` over WebSockets; no cookies, no proxy, no redirects, no compression.

    Args:
        networks: Where providers may be beside the public internet, such as `10.1.0.0/16`.
        connections: Open at once, at most.
    """

    def __init__(self, networks: Iterable[str], connections: int) -> None:
        self._guard = Guard(networks_from(networks))
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(
        self, provider: Provider, secrets: Mapping[str, str], since: datetime | None
    ) -> AsyncIterator["WebsocketFeed"]:
        """As `Feeds`."""
        settings = feed_settings(provider.connection, provider.authentication)
        mask = _mask(settings, secrets)
        with _told(settings.connection.url):
            async with asyncio.timeout(OPEN_S):
                socket = await self._connected(settings, secrets, since)
        try:
            with _told(settings.connection.url):
                async with asyncio.timeout(OPEN_S):
                    for message in settings.connection.subscribe:
                        await socket.send_str(_first(message, secrets))
            yield WebsocketFeed(socket, settings.connection, mask)
        finally:
            await socket.close()

    async def aclose(self) -> None:
        """Close what is still open."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _connected(self, settings: FeedSettings, secrets: Mapping[str, str], since: datetime | None) -> Socket:
        connection = settings.connection
        params = {**filled(connection.params, secrets), **_since(connection.resume, since)}
        headers = filled(connection.headers, secrets)
        if settings.authentication.kind == "query":
            params[settings.authentication.parameter] = secret_of(secrets, settings.authentication.secret)
        else:
            headers |= _authorization(settings.authentication, secrets)
        return await self._opened().ws_connect(
            connection.url,
            params=params,
            headers={"User-Agent": "caudal", **headers},
            protocols=connection.subprotocols,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            # Pongs come to us, as signs of life; text comes as bytes, as it does through every other door.
            autoping=False,
            decode_text=False,
            max_msg_size=connection.max_bytes,
        )

    def _opened(self) -> aiohttp.ClientSession:
        """The session; made where there is an event loop for it."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections, ssl=trust(), resolver=self._guard)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                trust_env=False,
                middlewares=(self._looked_at,),
            )
        return self._session

    async def _looked_at(self, request: aiohttp.ClientRequest, following: Next) -> aiohttp.ClientResponse:
        """Let a request pass whose address may be asked, and nothing that an answer makes of it."""
        self._guard.check(request.url.host or "")
        response = await following(request)
        if 300 <= response.status < 400:
            response.close()
            raise Elsewhere
        return response


class WebsocketFeed:
    """A `Feed`: an open WebSocket, which is pinged when it is silent."""

    def __init__(self, socket: Socket, connection: FeedConnection, mask: Mask) -> None:
        self._socket = socket
        self._connection = connection
        self._mask = mask
        self._loop = asyncio.get_running_loop()
        self._awaits_pong = False

    async def message(self) -> bytes:
        """As `Feed`."""
        begun = self._loop.time()
        while True:
            try:
                heard = await self._socket.receive(self._connection.ping_s)
            except TimeoutError:
                await self._ping()
                heard = None
            if heard is not None and heard.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._awaits_pong = False
                return bytes(heard.data)
            if heard is not None:
                await self._other(heard.type, heard.data, str(heard.extra or ""))
            idle_s = self._connection.idle_s
            if idle_s is not None and self._loop.time() - begun > idle_s:
                raise Transient(f"no message within {idle_s:g} s")

    def shown(self, message: bytes) -> str:
        """As `Feed`."""
        start = printable(message[: 8 * MAX_RAW].decode("utf-8", "replace"))
        return self._mask.start_of(start, MAX_RAW, is_whole=len(message) <= 8 * MAX_RAW)

    async def _ping(self) -> None:
        if self._awaits_pong:
            raise Transient(f"no sign of life within {2 * self._connection.ping_s:g} s")
        self._awaits_pong = True
        await self._say(WSMsgType.PING, b"")

    async def _other(self, kind: WSMsgType, content: Any, words: str) -> None:
        """What is not said to be read; every frame is a sign of life."""
        self._awaits_pong = False
        if kind is WSMsgType.PING:
            await self._say(WSMsgType.PONG, content)
        elif kind is WSMsgType.ERROR:
            raise Transient(f"the connection breaks: {self._shown(str(content))}")
        elif kind is not WSMsgType.PONG:
            said = self._shown(words)
            raise Transient(f"the connection was closed ({self._socket.close_code}){': ' if said else ''}{said}")

    async def _say(self, kind: WSMsgType, content: bytes) -> None:
        try:
            async with asyncio.timeout(OPEN_S):
                await self._socket.send_frame(content, kind)
        except (aiohttp.ClientError, OSError) as error:
            raise Transient("the connection is lost") from error

    def _shown(self, text: str) -> str:
        return printable(self._mask.start_of(text, 200))


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Errors in our words, which name the host and nothing secret."""
    host = url.split("/")[2]
    try:
        yield
    except aiohttp.WSServerHandshakeError as error:
        said = f"{host} refuses the WebSocket ({error.status})"
        if error.status in (408, 425, 429) or error.status >= 500:
            raise Transient(said) from None
        raise Permanent(said) from None
    except Elsewhere:
        raise Permanent(f"{host} sends us elsewhere: set url, if that is where it is now") from None
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, NotPublic) or isinstance(error.__cause__, NotPublic):
            raise Permanent(f"{host}{_NOT_PUBLIC}") from None
        raise Transient(f"{host} cannot be reached") from None
    except TimeoutError:
        raise Transient(f"{host} does not answer within {OPEN_S:g} s") from None
    except ValueError:
        raise Permanent(f"no such request can be sent to {host}: look at secrets and headers") from None
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, NotPublic) or isinstance(error.__cause__, NotPublic):
            raise Permanent(f"{host}{_NOT_PUBLIC}") from None
        raise Transient(f"{host} breaks off ({type(error).__name__})") from None


def _mask(settings: FeedSettings, secrets: Mapping[str, str]) -> Mask:
    mask = Mask()
    for name in settings.secrets():
        if name != "username":
            mask.add(secrets.get(name, ""))
    return mask


def _authorization(authentication: Authentication, secrets: Mapping[str, str]) -> dict[str, str]:
    if authentication.kind == "none":
        return {}
    if authentication.kind == "basic":
        pair = f"{secret_of(secrets, 'username')}:{secret_of(secrets, 'password')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    secret, header = secret_of(secrets, authentication.secret), authentication.header or "Authorization"
    is_bearer = authentication.kind == "bearer" and authentication.scheme
    return {header: f"{authentication.scheme} {secret}" if is_bearer else secret}


def _first(message: object, secrets: Mapping[str, str]) -> str:
    said = filled(message, secrets)
    return said if isinstance(said, str) else json.dumps(said)


def _since(resume: Resume | None, since: datetime | None) -> dict[str, str]:
    if resume is None or since is None:
        return {}
    start = since - timedelta(seconds=resume.overlap_s)
    forms = {"epoch_s": f"{start.timestamp():.0f}", "epoch_ms": f"{start.timestamp() * 1000:.0f}"}
    return {resume.parameter: forms.get(resume.form, start.isoformat(timespec="milliseconds").replace("+00:00", "Z"))}
