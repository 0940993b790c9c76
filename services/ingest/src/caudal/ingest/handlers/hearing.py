"""What is said on one connection, handed on in its order, no faster than it can be."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from caudal.common.bus import topics
from caudal.common.domain.catalog import Provider
from caudal.common.domain.errors import CaudalError, Permanent, Transient
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.provider_feeds import feed_settings
from caudal.common.domain.readings import Inlet
from caudal.ingest.domain.own_messages import OwnMessages
from caudal.ingest.handlers.accepting import Accepting, Arrival
from caudal.ingest.handlers.presence import Presence
from caudal.ingest.ports import Feed, Tally

MOST = 64
"""Messages of one connection in memory, and handed on at once; with more to come, its socket is not read."""
FINISH_S = 3.0
"""How long handing on what was heard may take when a connection is ended."""
OWN = "provider's own message"
"""Why such a message is let go."""

Heard = asyncio.Queue[bytes | CaudalError]
"""Messages in order; the last entry says why there will be no more."""

_log = structlog.get_logger(__name__)


class Hearing:
    """Hands on messages.

    Args:
        accepting: To whom.
        presence: Hears that there was one.
        tally: Counts those that are the provider's own.
    """

    def __init__(self, accepting: Accepting, presence: Presence, tally: Tally) -> None:
        self._accepting = accepting
        self._presence = presence
        self._tally = tally

    async def hear(self, feed: Feed, provider: Provider) -> None:
        """Hand on everything until the feed ends, or we are cancelled: what was heard by then is handed on, too.

        Raises:
            CaudalError: why the feed has ended.
        """
        own = OwnMessages(feed_settings(provider.connection, provider.authentication).connection.skip)
        heard: Heard = asyncio.Queue(MOST)
        reading = asyncio.create_task(_read(feed, heard), name=f"read {provider.code}")
        handing = asyncio.create_task(self._hand_on_all(heard, provider, own), name=f"hand on {provider.code}")
        try:
            # What is being handed on is not cut short by a cancellation: it would be told twice.
            await asyncio.shield(handing)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            await _finish(heard, handing)

    async def _hand_on_all(self, heard: Heard, provider: Provider, own: OwnMessages) -> None:
        while True:
            messages, end = await _next(heard)
            if messages:
                await self._hand_on(messages, provider, own)
            if end is not None:
                raise end

    async def _hand_on(self, messages: list[bytes], provider: Provider, own: OwnMessages) -> None:
        """Hand messages on, however long broker or catalog are away; meanwhile nothing more is read."""
        readings = [message for message in messages if message not in own]
        for _ in range(len(messages) - len(readings)):
            self._tally.dropped(OWN)
        topic = topics.PROVIDER_PUSH.address(provider=provider.code)
        arrivals = [Arrival(topic, each, Inlet.WEBSOCKET, provider=provider.code) for each in readings]
        while arrivals:
            try:
                await self._accept(arrivals)
                break
            except Transient as error:
                _log.warning("what a provider says has to wait", provider=provider.code, reason=str(error))
                await asyncio.sleep(error.retry_after_s)
        self._presence.heard(provider.code)

    async def _accept(self, arrivals: Sequence[Arrival]) -> None:
        """Accept arrivals; one that nobody can handle is put away, and the others are not."""
        try:
            await self._accepting.accept(arrivals)
        except Transient:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one message does, the others are none the worse for it
            if len(arrivals) > 1:
                middle = len(arrivals) // 2
                await self._accept(arrivals[:middle])
                await self._accept(arrivals[middle:])
                return
            _log.error("a message cannot be handled", error=type(error).__name__, exc_info=error)
            await self._accepting.accept([_put_away(arrivals[0], error)])


async def _read(feed: Feed, heard: Heard) -> None:
    """Read on as long as there is room."""
    while True:
        try:
            await heard.put(await feed.message())
        except CaudalError as error:
            await heard.put(error)
            return
        except Exception as error:  # noqa: BLE001 - whoever waits for the next message has to hear that there is none
            await heard.put(Permanent(f"our client failed: {type(error).__name__}"))
            return


async def _next(heard: Heard) -> tuple[list[bytes], CaudalError | None]:
    """The next messages, as many as have come; and why there will be no more, if that is so."""
    messages: list[bytes] = []
    entry = await heard.get()
    while not isinstance(entry, CaudalError):
        messages.append(entry)
        if heard.empty():
            return messages, None
        entry = heard.get_nowait()
    return messages, entry


async def _finish(heard: Heard, handing: asyncio.Task[None]) -> None:
    """Have everything handed on that was heard, if that is possible in time."""
    if not handing.done():
        try:
            async with asyncio.timeout(FINISH_S):
                await heard.put(Transient("ended by us"))
                await asyncio.wait([handing])
        except TimeoutError:
            _log.error("what a provider said last is lost", messages=heard.qsize())
        handing.cancel()
        await asyncio.wait([handing])
    if not handing.cancelled():
        handing.exception()


def _put_away(arrival: Arrival, error: Exception) -> Arrival:
    failure = Unreadable(Refusal.UNDECODABLE, "payload", f"cannot be handled: {type(error).__name__}")
    return msgspec.structs.replace(arrival, unreadable=failure)
