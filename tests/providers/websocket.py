"""A provider with a WebSocket: says what it is told to say, and can be rude in every way that real ones are."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any

from aiohttp import WSMsgType, web

PATIENCE_S = 60.0


class WebsocketProvider:
    """A server on loopback, in the test's own event loop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.handshakes: list[tuple[Mapping[str, str], Mapping[str, str]]] = []
        """Headers and query of each."""
        self.first: list[str] = []
        """What was said to it, over all connections."""
        self.refuses: web.Response | None = None
        """Answered instead of an upgrade."""
        self.is_deaf = False
        """Whether it leaves pings unanswered."""
        self._sockets: list[web.WebSocketResponse] = []
        self._transports: list[asyncio.Transport] = []
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self.port}/stream"

    async def __aenter__(self) -> "WebsocketProvider":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Listen, again on the same port."""
        application = web.Application()
        application.router.add_get("/stream", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def kill(self) -> None:
        """Be gone without a word: every connection is reset."""
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def cut(self) -> None:
        """Reset every connection."""
        for transport in self._transports:
            if not transport.is_closing():
                linger = socket.SO_LINGER, struct.pack("ii", 1, 0)
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, *linger)
                transport.abort()
        self._transports.clear()

    @property
    def connections(self) -> int:
        """Open now."""
        return sum(not each.closed for each in self._sockets)

    async def connected(self, times: int = 1) -> None:
        """Return once so many connections have been made, and one is open."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.handshakes) >= times and self.connections > 0)

    async def disconnected(self) -> None:
        """Return once no connection is open."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: self.connections == 0)

    async def said(self, count: int) -> None:
        """Return once so many messages were said to it."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.first) >= count)

    async def say(self, message: str | bytes) -> None:
        """Say something on the newest connection; waits while the other side does not read.

        Raises:
            ConnectionError: it is lost.
        """
        if not self._sockets:
            raise ConnectionError("nobody is connected")
        newest = self._sockets[-1]
        await (newest.send_str(message) if isinstance(message, str) else newest.send_bytes(message))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        async with self._changed:
            self.handshakes.append((request.headers.copy(), dict(request.query)))
            self._changed.notify_all()
        if self.refuses is not None:
            return web.Response(status=self.refuses.status, headers=self.refuses.headers)
        websocket = web.WebSocketResponse(autoping=False, protocols=("readings.v1",))
        await websocket.prepare(request)
        async with self._changed:
            self._sockets.append(websocket)
            assert request.transport is not None
            self._transports.append(request.transport)
            self._changed.notify_all()
        try:
            await self._listen(websocket)
        finally:
            async with self._changed:
                self._changed.notify_all()
        return websocket

    async def _listen(self, websocket: web.WebSocketResponse) -> None:
        async for message in websocket:
            if message.type is WSMsgType.PING and not self.is_deaf:
                await websocket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                async with self._changed:
                    self.first.append(message.data)
                    self._changed.notify_all()


def said(number: int, device: str = "D-feed", **more: Any) -> dict[str, Any]:
    """Reading `number`, as this provider says it."""
    return {"type": "reading", "serial": device, "t": 1_772_445_600 + 60 * number, "q": number / 10, **more}


MAPPING: dict[str, Any] = {
    "readings": "$",
    "device": "serial",
    "time": {"path": "t", "format": "epoch_s"},
    "values": {"flow": {"path": "q"}},
}
