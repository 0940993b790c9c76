"""What can go wrong on the way to a provider and back. Each fault spoils one answer."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable

from aiohttp import web

Fault = Callable[[web.Request, web.Response], Awaitable[web.StreamResponse]]
"""(request, what would have been answered) → what is answered."""


def slow(seconds: float) -> Fault:
    """The right answer, late."""

    async def spoiled(request: web.Request, answer: web.Response) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return answer

    return spoiled


async def hanging(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Headers, and then nothing."""
    stream = web.StreamResponse(headers={"Content-Type": "application/json"})
    await stream.prepare(request)
    await asyncio.Event().wait()
    return stream


def body(content: bytes, kind: str = "application/json", status: int = 200, **headers: str) -> Fault:
    """Something else."""

    async def spoiled(request: web.Request, answer: web.Response) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=content, status=status, headers={"Content-Type": kind, **named})

    return spoiled


broken_json = body(b'{"status": true, "result": [{"variable": ')
html_page = body(b"<html><body>We are moving to a bigger house</body></html>", "text/html")
bad_gateway = body(b"<html>502 Bad Gateway</html>", "text/html", status=502)
server_error = body(b'{"message": "oops"}', status=500)
empty_body = body(b"")
huge = body(b"[" + b" " * (9 * 1024 * 1024) + b"]")
zip_bomb = body(gzip.compress(b"[" + b" " * (64 * 1024 * 1024) + b"]"), Content_Encoding="gzip")
broken_gzip = body(b"\x1f\x8b\x08\x00 this is no gzip", Content_Encoding="gzip")
strange_coding = body(b"[]", Content_Encoding="br")


def too_many(retry_after: str | None, date: str = "Thu, 05 Mar 2026 14:00:00 GMT") -> Fault:
    """429, with or without a Retry-After, by the provider's own clock."""
    wish = {"Retry_After": retry_after} if retry_after else {}
    return body(b'{"message": "slow down"}', status=429, Date=date, **wish)


too_many_in_pieces = body(b"\x1f\x8b\x08\x00 no gzip", status=429, Content_Encoding="gzip", Retry_After="60")


def redirect(location: str, status: int = 302) -> Fault:
    """Somewhere else."""
    return body(b"", status=status, Location=location)


async def cut(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Half of the answer, then the line is dead."""
    content = bytes(answer.body or b"")  # type: ignore[arg-type]
    stream = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(content))})
    await stream.prepare(request)
    await stream.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.abort()
    return stream


async def dead(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """No answer at all: the line is cut."""
    if request.transport is not None:
        request.transport.abort()
    return answer


async def zipped(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """The right answer, compressed."""
    content = gzip.compress(bytes(answer.body or b""))  # type: ignore[arg-type]
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return web.Response(body=content, status=answer.status, headers=headers)


async def half_zipped(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Half of it."""
    content = zlib.compress(bytes(answer.body or b""))[:-8]  # type: ignore[arg-type]
    return web.Response(body=content, headers={"Content-Type": "application/json", "Content-Encoding": "deflate"})
