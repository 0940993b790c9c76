"""Trying a provider that is listened to: it is connected, what it says first is shown, and nothing is handed on."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Command, Result
from caudal.common.domain.catalog import Provider, ProviderType
from caudal.common.testing.fake_clock import FakeClock
from caudal.common.testing.memory_bus import MemoryBus
from caudal.common.testing.memory_catalog import MemoryCatalog
from caudal.ingest.adapters.providers.websocket import WebsocketFeeds
from caudal.ingest.handlers import trying
from caudal.ingest.handlers.accepting import Accepting
from caudal.ingest.handlers.trying import Trying
from fakes.providers import EmptyVault, MemoryClients, MemoryFleet
from integration.ingest.polling_house import NoTally
from providers.websocket import MAPPING, WebsocketProvider, said
from servers.process import free_port

SECRET = "the-token-of-the-contract"


class KnowingVault(EmptyVault):
    def of(self, owner_kind: str, owner: str) -> dict[str, str]:
        return {"token": SECRET}


class KnowingFleet(MemoryFleet):
    async def vault(self) -> KnowingVault:
        return KnowingVault()


@pytest.fixture
async def provider() -> AsyncIterator[WebsocketProvider]:
    async with WebsocketProvider(free_port()) as server:
        yield server


async def tried(provider: WebsocketProvider, **connection: Any) -> Mapping[str, Any]:
    """What trying it comes to."""
    entry = Provider(
        code="feed",
        type=ProviderType.WEBSOCKET,
        connection={"url": provider.url, "skip": {"type": ["ack"]}} | connection,
        authentication={"kind": "bearer"},
        mapping=MAPPING,
    )
    bus, clock = MemoryBus(), FakeClock()
    fleet, feeds = KnowingFleet([entry], []), WebsocketFeeds(["127.0.0.0/8"], 10)
    accepting = Accepting(MemoryCatalog([], [entry]), bus, clock, NoTally())
    handler = Trying(fleet, fleet, MemoryClients(), feeds, accepting, bus, clock, lambda code: None)
    try:
        await handler.order("feed", Command(id="1", action="test"))
    finally:
        await feeds.aclose()
    (told,) = bus.published
    assert told.topic == "provider/feed/result"
    assert SECRET not in told.payload.decode()
    return decode(told.payload, Result).detail


async def says(provider: WebsocketProvider, *messages: dict[str, Any]) -> None:
    await provider.connected()
    for message in messages:
        await provider.say(json.dumps(message))


async def test_what_it_says_first_is_shown_and_read(provider: WebsocketProvider) -> None:
    first = {"type": "ack", "key": SECRET}
    words = asyncio.create_task(says(provider, first, said(1, note=f"for {SECRET}")))
    detail = await tried(provider)
    await words
    assert detail["outcome"] == "answered"
    assert [reading["values"] for reading in detail["readings"]] == [{"flow": 0.1}]
    assert '"serial"' in detail["raw"]
    assert provider.handshakes[0][0]["Authorization"] == f"Bearer {SECRET}"


async def test_a_message_that_the_mapping_cannot_read_says_why(provider: WebsocketProvider) -> None:
    words = asyncio.create_task(says(provider, {"type": "reading", "serial": "D-feed", "q": 1}))
    detail = await tried(provider)
    await words
    assert (detail["outcome"], detail["readings"]) == ("answered", [])
    assert detail["refused"] == [{"field": "t", "reason": "no time there"}]


async def test_silence_is_no_failure_and_ends_in_time(
    provider: WebsocketProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "MESSAGE_S", 0.5)
    words = asyncio.create_task(says(provider, {"type": "ack"}))
    detail = await tried(provider)
    await words
    assert detail["outcome"] == "no_data"
    assert "it is connected" in detail["reason"]
    assert "1 messages of its own" in detail["reason"]


async def test_a_refusal_and_an_absence_are_failures(provider: WebsocketProvider) -> None:
    provider.refuses = web.Response(status=401)
    detail = await tried(provider)
    assert (detail["outcome"], detail["reason"]) == ("failed", f"127.0.0.1:{provider.port} refuses the WebSocket (401)")
    await provider.kill()
    assert "cannot be reached" in (await tried(provider))["reason"]


async def test_a_secret_that_is_missing_is_told(provider: WebsocketProvider) -> None:
    detail = await tried(provider, subscribe=[{"key": "{other}"}])
    assert (detail["outcome"], detail["reason"]) == ("failed", "the secret 'other' is not set")
