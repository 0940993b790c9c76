"""Asks services whether they are ready."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from caudal.cli.local.ports import LOOPBACK

POLL_S = 0.03
ANSWER_TIMEOUT_S = 2.0


async def status_of(port: int, path: str) -> int | None:
    """The HTTP status of a GET on loopback; None when nobody answers in time."""
    with suppress(OSError, TimeoutError, ValueError, IndexError):
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode())
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
    return None


async def listening(port: int) -> None:
    """Return once somebody accepts connections on `port`."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return
        await asyncio.sleep(POLL_S)


async def ready(listeners: Iterable[int], services: Iterable[int]) -> None:
    """Return once all `listeners` listen and /health/ready says 200 on the ports of all `services`."""
    for port in listeners:
        await listening(port)
    for port in services:
        while await status_of(port, "/health/ready") != 200:
            await asyncio.sleep(POLL_S)
