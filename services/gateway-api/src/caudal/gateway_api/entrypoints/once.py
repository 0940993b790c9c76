"""`Idempotency-Key` and `If-Match`: what a request says about itself, to have its effect once, and knowingly."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Header, Request, Response

from caudal.gateway_api.domain.repeats import Attempt, attempt_of
from caudal.gateway_api.domain.versions import ANY, Expected
from caudal.gateway_api.entrypoints.access import AnyCaller
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.handlers.once import OnceDesk, once

_KEPT_HEADERS = ("etag", "location", "cache-control")

IdempotencyKey = Annotated[
    str | None,
    Header(description="The same key with the same body is taken once and answered alike for a day."),
]
IfMatchHeader = Annotated[str | None, Header(description="`ETag` of what you have read; 412 if it has changed since.")]


class _Answer(msgspec.Struct):
    """An answer as it is kept."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Creation:
    """What a POST makes, once for all requests with its Idempotency-Key."""

    desk: OnceDesk
    attempt: Attempt | None
    """None: the request has no key."""

    async def __call__(self, make: Callable[[], Awaitable[Response]], secret: str | None = None) -> Response:
        """What `make` answers, or answered before.

        Args:
            make: Makes it.
            secret: The field of the answer that is told once and never kept; null in answers to repetitions.
        """
        if self.attempt is None:
            return await make()
        made: list[Response] = []

        async def do(_id: str) -> str:
            made.append(await make())
            return _kept(made[0], secret)

        kept = await once(self.desk, self.attempt, do)
        return made[0] if made else _again(kept)


def _kept(made: Response, secret: str | None) -> str:
    body = bytes(made.body)
    if secret is not None:
        shown: dict[str, Any] = msgspec.json.decode(body)
        body = msgspec.json.encode(shown | {secret: None})
    headers = {name: made.headers[name] for name in _KEPT_HEADERS if name in made.headers}
    return msgspec.json.encode(_Answer(made.status_code, headers, body.decode())).decode()


def _again(kept: str) -> Response:
    told = msgspec.json.decode(kept, type=_Answer)
    return Response(told.body, told.status, told.headers, media_type="application/json")


async def _creation(
    request: Request, door: TheDoor, caller: AnyCaller, idempotency_key: IdempotencyKey = None
) -> Creation:
    if idempotency_key is None:
        return Creation(door.once, None)
    asked = (request.method.encode(), str(request.url).encode(), await request.body())
    return Creation(door.once, attempt_of(f"user/{caller.user}", idempotency_key, *asked))


async def _if_match(if_match: IfMatchHeader = None) -> Expected:
    if if_match is None or if_match.strip() == "*":
        return ANY
    # A proxy that compresses says `W/` before it; versions are of what is told, not of its bytes.
    return Expected(frozenset(part.strip().removeprefix("W/").strip('"') for part in if_match.split(",")))


Creating = Annotated[Creation, Depends(_creation)]
"""For the signature of a POST that makes or orders something."""
IfMatch = Annotated[Expected, Depends(_if_match)]
"""For the signature of what changes or deletes something."""
