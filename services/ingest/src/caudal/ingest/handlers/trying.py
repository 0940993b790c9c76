"""Orders about a provider: to try it, which shows what it says and hands nothing on, and to ask it in a round now."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from caudal.common.bus import topics
from caudal.common.bus.codec import encode
from caudal.common.bus.messages import Command, Result
from caudal.common.domain.catalog import Point, PointSource, Provider, ProviderType
from caudal.common.domain.errors import CaudalError, InvalidInput
from caudal.common.domain.payloads.reader import Measurement
from caudal.common.domain.provider_feeds import feed_settings
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Clock, Outgoing, Publisher
from caudal.ingest.domain.own_messages import OwnMessages
from caudal.ingest.handlers.accepting import Accepting, Arrival
from caudal.ingest.handlers.polled import arrivals_of
from caudal.ingest.handlers.turns import is_asked
from caudal.ingest.ports import Answered, Failed, Feeds, Fleet, Outcome, ProviderClients, Question, Secrets

SHOWN = 20
"""Readings, and reasons, that an answer shows at most."""
ANSWER_S = 25.0
"""How long trying a provider may take, all its requests together."""
MESSAGE_S = 10.0
"""How long a provider that is listened to may take until it says something, once it is connected."""

_log = structlog.get_logger(__name__)


class Trying:
    """Tries providers, by order.

    Args:
        fleet: Who can be tried, with which points.
        secrets: What providers want to hear from us.
        clients: How each is asked.
        feeds: How each is listened to.
        accepting: Says what a mapping makes of an answer.
        publisher: Where results are told.
        clock: What time it is.
        ask_now: Has all points of a provider asked for in a round that begins as soon as it can.
    """

    def __init__(
        self,
        fleet: Fleet,
        secrets: Secrets,
        clients: ProviderClients,
        feeds: Feeds,
        accepting: Accepting,
        publisher: Publisher,
        clock: Clock,
        ask_now: Callable[[str], None],
    ) -> None:
        self._fleet = fleet
        self._secrets = secrets
        self._clients = clients
        self._feeds = feeds
        self._accepting = accepting
        self._publisher = publisher
        self._clock = clock
        self._ask_now = ask_now

    async def order(self, provider: str, command: Command) -> None:
        """Carry an order out and tell the result; also why it could not be carried out.

        Raises:
            Transient: the bus is away; doing it once more does no harm.
        """
        try:
            detail, ok = await self._done(provider, command), True
        except CaudalError as error:
            field = {"field": error.field, "error": error.reason} if isinstance(error, InvalidInput) else {}
            detail, ok = {"error": str(error), **field}, False
        outcome = detail.get("outcome", "refused")
        _log.info("order about a provider", provider=provider, action=command.action[:60], outcome=outcome)
        result = Result(id=command.id, ok=ok, detail=detail, timestamp=self._clock.now())
        await self._publisher.publish([Outgoing(topics.PROVIDER_RESULT.address(provider=provider), encode(result))])

    async def _done(self, code: str, command: Command) -> dict[str, Any]:
        if command.action not in ("test", "poll"):
            raise InvalidInput("action", f"{command.action[:60]!r} is neither test nor poll")
        provider = next((each for each in await self._fleet.providers() if each.code == code), None)
        if provider is None:
            raise InvalidInput("provider", f"there is no provider {code!r}")
        if command.action == "test" and provider.type is ProviderType.WEBSOCKET:
            return await self._listened_to(provider)
        if provider.api is None:
            raise InvalidInput("api", "the provider has none, so there is nothing to ask")
        if command.action == "test":
            return await self._tried(provider, command)
        if not is_asked(provider):
            raise InvalidInput("active", f"{code!r} is switched off or only being tried, so no round asks it")
        self._ask_now(code)
        return {"outcome": "ordered"}

    async def _tried(self, provider: Provider, command: Command) -> dict[str, Any]:
        point = self._point(provider, command.params, await self._fleet.sourced())
        assert point.source is not None
        client = self._clients.of(provider, point.code, await self._secrets.vault())
        begun = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_S):
                outcome = await client.latest(Question(remote_id=point.source.remote_id, keys=point.source.keys))
        except TimeoutError:
            outcome = Failed(reason=f"gives no answer within {ANSWER_S:.0f} s", is_transient=True)
        return {"point": point.code or None, "took_ms": _ms_since(begun), **await self._shown(point, outcome)}

    async def _listened_to(self, provider: Provider) -> dict[str, Any]:
        """What a provider says first on a connection of our own; its own messages are passed over."""
        own = OwnMessages(feed_settings(provider.connection, provider.authentication).connection.skip)
        secrets, begun, passed = (await self._secrets.vault()).of("provider", provider.code), time.monotonic(), 0
        try:
            async with self._feeds.open(provider, secrets, None) as feed, asyncio.timeout(MESSAGE_S):
                while (message := await feed.message()) in own:
                    passed += 1
                raw = feed.shown(message)
        except TimeoutError:
            others = f" but {passed} messages of its own" if passed else ""
            said = _nothing("no_data", f"it is connected, and says nothing within {MESSAGE_S:.0f} s{others}")
            return {"took_ms": _ms_since(begun), **said}
        except CaudalError as error:
            return {"took_ms": _ms_since(begun), **_nothing("failed", str(error))}
        topic = topics.PROVIDER_PUSH.address(provider=provider.code)
        arrival = Arrival(topic, message, Inlet.WEBSOCKET, provider=provider.code)
        return {"took_ms": _ms_since(begun), **await self._read([arrival], raw, [])}

    def _point(self, provider: Provider, params: dict[str, Any], points: Sequence[Point]) -> Point:
        """The point that is asked for: the one that is named, or made up from a source, or any of the provider's."""
        wanted, source = params.get("point"), params.get("source")
        if wanted is None and source:
            made_up = PointSource(remote_id=str(source["remote_id"]), keys=dict(source["keys"]))
            return Point(code="", device="", provider=provider.code, source=made_up)
        for point in points:
            if point.provider == provider.code and wanted in (None, point.code):
                return point
        named = f"{str(wanted)[:64]!r} of" if wanted else "of"
        raise InvalidInput("point", f"there is no point {named} {provider.code!r} that has a source")

    async def _shown(self, point: Point, outcome: Outcome) -> dict[str, Any]:
        if not isinstance(outcome, Answered):
            return _nothing("failed" if isinstance(outcome, Failed) else "no_data", outcome.reason, outcome.raw)
        refused = [{"field": "row", "reason": row.reason} for row in outcome.unreadable]
        return await self._read(arrivals_of(point, outcome.readings), outcome.raw, refused)

    async def _read(self, arrivals: Sequence[Arrival], raw: str, refused: list[dict[str, str]]) -> dict[str, Any]:
        """What becomes of arrivals that nobody else hears of."""
        readings: list[Measurement] = []
        for arrival in arrivals:
            read = await self._accepting.understood(arrival)
            readings += read.readings
            refused += [{"field": error.field, "reason": error.reason} for error in read.refused]
        shown = [_reading_shown(reading) for reading in readings[:SHOWN]]
        return {"outcome": "answered", "raw": raw, "readings": shown, "refused": refused[:SHOWN]}


def _nothing(outcome: str, reason: str, raw: str = "") -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "raw": raw, "readings": [], "refused": []}


def _ms_since(begun: float) -> float:
    return round((time.monotonic() - begun) * 1000, 1)


def _reading_shown(reading: Measurement) -> dict[str, Any]:
    return {"measured_at": reading.measured_at, "values": reading.values, "problems": reading.problems}
