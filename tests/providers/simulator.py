"""What all stand-ins have in common: a server in a thread, rows that somebody measured, a memory of what was asked."""

import asyncio
import random
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

from providers.faults import Fault


@dataclass(frozen=True)
class Measured:
    """One value that a device handed its provider."""

    device: str
    key: str
    at: datetime
    value: Any
    time_text: str | None = None
    """What the provider writes instead of the time, when it has it wrong."""


@dataclass(frozen=True)
class Seen:
    """One request."""

    method: str
    path: str
    target: str
    """Path and query as they were sent."""
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)


class Refused(Exception):
    """The provider does not answer such a question."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Simulator:
    """A provider on loopback. Subclasses say how it is asked and how it answers; by itself it answers nothing."""

    def __init__(self) -> None:
        self.rows: list[Measured] = []
        self.seen: list[Seen] = []
        self.faults: deque[Fault | None] = deque()
        """What spoils the next answers, one each; None spoils nothing."""
        self.always: Fault | None = None
        """What spoils every answer."""
        self.refuses_all = False
        """Whether no token counts, however new."""
        self.shuffles = False
        """Whether rows of an answer come in any order."""
        self.valid = ""
        """The token that a login gave."""
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._serve, name=type(self).__name__, daemon=True)
        self.port = 0

    # ---------------------------------------------------------------- what tests do

    def put(self, device: str, key: str, at: datetime, value: Any, time_text: str | None = None) -> None:
        """Let a device hand in a value."""
        self.rows.append(Measured(device, key, at, value, time_text))

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}{self.base}"

    base = ""
    """Path under which the API lives."""

    @property
    def questions(self) -> list[Seen]:
        """Requests for values."""
        return [seen for seen in self.seen if "login" not in seen.path]

    @property
    def logins(self) -> int:
        """How often somebody tried to log in."""
        return len(self.seen) - len(self.questions)

    def expire_tokens(self) -> None:
        """No token that a login gave counts any more."""
        self.valid = ""

    def issue(self, token: str) -> str:
        """Let `token` count, and none before it."""
        self.valid = "" if self.refuses_all else token
        return token

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(20):
            raise TimeoutError(f"{type(self).__name__} does not start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    # ---------------------------------------------------------------- what subclasses say

    def routes(self) -> list[web.RouteDef]:
        """What is answered, by path."""
        return []

    def refusal(self, refused: Refused) -> web.Response:
        """How it says no."""
        return web.json_response({"message": str(refused)}, status=refused.status)

    def measured(self, device: str, key: str, start: datetime | None, end: datetime | None) -> list[Measured]:
        """Rows of a device and key, newest first, from `start` to `end`, both taken in."""
        found = [
            row
            for row in self.rows
            if (row.device, row.key) == (device, key)
            and (start is None or row.at >= start)
            and (end is None or row.at <= end)
        ]
        return sorted(found, key=lambda row: row.at, reverse=True)

    def ordered(self, rows: Sequence[Any]) -> list[Any]:
        """`rows`, or the same in disorder."""
        return random.Random(len(rows)).sample(list(rows), len(rows)) if self.shuffles else list(rows)

    # ---------------------------------------------------------------- the server

    def _serve(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(middlewares=[self._answering])
        app.add_routes(self.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    @web.middleware
    async def _answering(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen.append(
            Seen(request.method, request.path, request.raw_path, dict(request.query), dict(request.headers))
        )
        fault = self.faults.popleft() if self.faults else self.always
        try:
            answer = await handler(request)
        except Refused as refused:
            answer = self.refusal(refused)
        except web.HTTPException as error:
            answer = self.refusal(Refused(error.status, error.reason))
        return await fault(request, answer) if fault else answer


def checked_query(request: web.Request, *known: str) -> dict[str, str]:
    """The parameters of a request.

    Raises:
        Refused: one is unknown, or comes twice.
    """
    query = dict(request.query)
    if len(query) != len(request.query):
        raise Refused(400, "a parameter comes twice")
    if unknown := set(query) - set(known):
        raise Refused(400, f"unknown parameter {min(unknown)}")
    return query


def checked_number(text: str | None, default: int, most: int) -> int:
    """A number of rows.

    Raises:
        Refused: it is none.
    """
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise Refused(400, f"{text!r} is not 1 to {most}")
    return int(text)


def checked_instant(text: str | None) -> datetime | None:
    """A time with zone, as ISO 8601.

    Raises:
        Refused: it is none.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, f"{text!r} is no date") from None
    if at.tzinfo is None:
        raise Refused(400, f"{text!r} has no zone")
    return at


def iso(at: datetime) -> str:
    """`at` as these APIs write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
