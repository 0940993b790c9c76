"""Providers that are listened to: what they say comes in, whatever becomes of connections, brokers and messages."""

import asyncio
import json
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.fernet import Fernet

from buses import running
from caudal.common.adapters.sealing import Sealer, place_of
from caudal.common.domain.catalog import Provider, ProviderType
from caudal.common.domain.readings import Inlet
from ears import Ears, ingest_settings, put_provider
from figures import tell
from malformed import malformed
from providers.websocket import MAPPING, WebsocketProvider, said
from servers.mosquitto import Mosquitto
from servers.process import free_port
from servers.service import Service

SECRET = "t0p-s3cr3t-of-a-feed"
MALFORMED = 10_000
PATIENCE_S = 60.0


class Feed:
    """A provider, ingest that listens to it, and what came of it."""

    def __init__(self, folder: Path, broker: Mosquitto, networks: str = "127.0.0.0/8") -> None:
        self.provider = WebsocketProvider(free_port())
        self.catalog = folder / "catalog.db"
        key = Fernet.generate_key().decode()
        settings = ingest_settings(broker.port, folder)
        settings |= {"CAUDAL_CREDENTIALS_KEYS": key, "CAUDAL_POLLING_NETWORKS": networks}
        settings |= {"CAUDAL_MQTT_CLIENT_ID": f"ingest-{folder.name[:40]}"}
        self._sealer = Sealer([key])
        self.ears = Ears(broker.port)
        self.service = Service(folder, "ingest", settings)
        self.entry = Provider(
            code="feed",
            type=ProviderType.WEBSOCKET,
            connection={"url": self.provider.url, "ping_s": 1},
            authentication={"kind": "bearer"},
            mapping=MAPPING,
        )

    def put(self, **connection: Any) -> None:
        """Have the provider in the catalog, with these settings beside its address."""
        self.entry = replace(self.entry, connection=self.entry.connection | connection)
        put_provider(self.catalog, self.entry)
        sealed = self._sealer.seal(place_of("provider", "feed", "token"), SECRET)
        with sqlite3.connect(self.catalog, timeout=10) as connection_:
            connection_.execute("delete from catalog_credentials")
            row = ("provider", "feed", "token", sealed, "2026-03-02T10:00:00.000000Z")
            connection_.execute("insert into catalog_credentials values (?,?,?,?,?)", row)
        connection_.close()

    def state(self) -> dict[str, Any]:
        """What is shown of the provider; empty: nothing."""
        with sqlite3.connect(self.catalog, timeout=10) as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute("select * from polling_providers where provider = 'feed'").fetchone()
        connection.close()
        return dict(row) if row else {}

    async def state_when(self, fits: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The state, once it fits."""
        async with asyncio.timeout(PATIENCE_S):
            while not (state := self.state()) or not fits(state):
                await asyncio.sleep(0.1)
        return state

    async def numbers(self, count: int, device: str = "D-feed") -> list[int]:
        """Numbers of the readings that came, once they are so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.ears.readings(device)) < count:
                await asyncio.sleep(0.02)
        return [round(each.values["flow"] * 10) for each in found]


Opened = Callable[..., Awaitable[Feed]]


@pytest.fixture
async def opened(broker: Mosquitto, tmp_path: Path) -> AsyncIterator[Opened]:
    """Makes a feed, with the provider and ingest running."""
    async with asyncio.TaskGroup() as group:
        made: list[Feed] = []
        over = asyncio.Event()

        async def kept(feed: Feed, ready: asyncio.Event) -> None:
            async with feed.provider, running(feed.ears.bus):
                ready.set()
                await over.wait()

        async def open_feed(networks: str = "127.0.0.0/8", **connection: Any) -> Feed:
            feed, ready = Feed(tmp_path, broker, networks), asyncio.Event()
            feed.put(**connection)
            group.create_task(kept(feed, ready))
            await ready.wait()
            await asyncio.to_thread(feed.service.start)
            made.append(feed)
            return feed

        yield open_feed
        for feed in made:
            await asyncio.to_thread(feed.service.stop)
            assert SECRET not in feed.service.log.read_text(), "a secret in the log"
            assert SECRET not in json.dumps(feed.state()), "a secret in what is shown"
        over.set()


async def test_a_provider_is_greeted_with_its_secrets_and_what_it_says_comes_in(opened: Opened) -> None:
    feed = await opened(
        params={"fleet": "7"}, headers={"X-Extra": "{token}"}, subprotocols=["readings.v1"],
        subscribe=["HELLO", {"op": "subscribe", "key": "{token}", "to": ["all"]}], skip={"type": ["ack", "heartbeat"]},
    )  # fmt: skip
    await feed.provider.connected()
    [(headers, query)] = feed.provider.handshakes
    assert (headers["Authorization"], headers["X-Extra"]) == (f"Bearer {SECRET}", SECRET)
    assert (query, headers["Sec-WebSocket-Protocol"]) == ({"fleet": "7"}, "readings.v1")
    await feed.provider.said(2)
    assert feed.provider.first[0] == "HELLO"
    assert json.loads(feed.provider.first[1]) == {"op": "subscribe", "key": SECRET, "to": ["all"]}
    for number in range(100):
        await feed.provider.say(json.dumps({"type": "heartbeat"} if number % 10 == 0 else said(number)))
    assert await feed.numbers(90) == [number for number in range(100) if number % 10]
    bundle = feed.ears.bundles()[-1]
    assert (bundle.inlet, bundle.provider) == (Inlet.WEBSOCKET, "feed")
    assert feed.ears.rejects() == [], "what is the provider's own is no reject"
    state = await feed.state_when(lambda state: state["heard_at"])
    assert state["connected_since"] <= state["heard_at"]
    assert state["error"] is None


async def test_a_provider_that_was_killed_is_listened_to_again(opened: Opened) -> None:
    feed = await opened(resume={"parameter": "since", "form": "epoch_s", "overlap_s": 5})
    await feed.provider.connected()
    assert "since" not in feed.provider.handshakes[0][1]
    await feed.provider.say(json.dumps(said(1)))
    assert await feed.numbers(1) == [1]
    before = time.time()
    await feed.provider.kill()
    state = await feed.state_when(lambda state: state["error"])
    assert state["connected_since"] is None
    await feed.provider.start()
    await feed.provider.connected(2)
    assert before - 60 < float(feed.provider.handshakes[-1][1]["since"]) < before
    await feed.provider.say(json.dumps(said(2)))
    assert await feed.numbers(2) == [1, 2]
    await feed.state_when(lambda state: state["connected_since"] and state["error"] is None)


async def test_changes_of_the_catalog_take_effect_within_seconds(opened: Opened) -> None:
    feed = await opened()
    await feed.provider.connected()
    feed.put(params={"changed": "yes"})
    await feed.provider.connected(2)
    assert feed.provider.handshakes[1][1] == {"changed": "yes"}
    feed.entry = replace(feed.entry, active=False)
    feed.put()
    await feed.provider.disconnected()
    await feed.state_when(lambda state: state["connected_since"] is None)


async def test_what_was_heard_is_handed_on_when_ingest_stops(opened: Opened) -> None:
    feed = await opened()
    await feed.provider.connected()
    for number in range(500):
        await feed.provider.say(json.dumps(said(number)))
    await feed.numbers(1)
    await asyncio.to_thread(feed.service.stop)
    assert feed.service.process is not None
    assert feed.service.process.returncode == 0
    came = await feed.numbers(1)
    assert came == list(range(len(came))), "in order, each once, without a gap, as far as they were read"


async def test_a_connection_without_a_sign_of_life_is_made_anew(opened: Opened) -> None:
    feed = await opened()
    await feed.provider.connected()
    feed.provider.is_deaf = True
    await feed.provider.connected(2)
    assert "no sign of life within 2 s" in (await feed.state_when(lambda state: state["error"]))["error"]


async def test_a_connection_without_messages_is_made_anew_if_that_is_wanted(opened: Opened) -> None:
    feed = await opened(idle_s=2)
    await feed.provider.connected(2)
    assert (await feed.state_when(lambda state: state["error"]))["error"] == "no message within 2 s"


async def test_a_message_beyond_the_bound_ends_the_connection_and_is_told(opened: Opened) -> None:
    feed = await opened(max_bytes=2048)
    await feed.provider.connected()
    await feed.provider.say(json.dumps(said(0, note="x" * 5000)))
    await feed.provider.connected(2)
    await feed.provider.say(json.dumps(said(1)))
    assert await feed.numbers(1) == [1]


async def test_a_refusal_is_told_and_not_asked_for_again_at_once(opened: Opened) -> None:
    feed = await opened()
    await feed.provider.connected()
    feed.provider.refuses = web.Response(status=401)
    feed.provider.cut()
    state = await feed.state_when(lambda state: state["error"] and "401" in state["error"])
    assert state["error"] == f"127.0.0.1:{feed.provider.port} refuses the WebSocket (401)"
    assert len(feed.provider.handshakes) == 2


async def test_nobody_is_connected_to_where_nobody_may_go(opened: Opened) -> None:
    feed = await opened(networks="")
    state = await feed.state_when(lambda state: state["error"])
    assert "is on no public network" in state["error"]
    assert feed.provider.handshakes == []


async def test_no_secret_follows_a_redirect(opened: Opened) -> None:
    elsewhere = WebsocketProvider(free_port())
    async with elsewhere:
        feed = await opened()
        await feed.provider.connected()
        feed.provider.refuses = web.Response(status=302, headers={"Location": elsewhere.url.replace("ws:", "http:")})
        feed.provider.cut()
        state = await feed.state_when(lambda state: state["error"] and "elsewhere" in state["error"])
        assert "sends us elsewhere" in state["error"]
        assert elsewhere.handshakes == []


async def test_ten_thousand_malformed_messages_are_each_accounted_for_and_delay_nobody(opened: Opened) -> None:
    feed = await opened(max_bytes=1_048_576)
    await feed.provider.connected()
    begun, good = time.monotonic(), 0
    for number, payload in enumerate(malformed(lambda number: said(number, "D-malformed"), MALFORMED)):
        await feed.provider.say(payload)
        if number % 1000 == 0:
            await feed.provider.say(json.dumps(said(number)))
            good += 1
    await feed.provider.say(json.dumps(said(77_777)))
    assert (await feed.numbers(good + 1))[-1] == 77_777
    took_s, at = time.monotonic() - begun, time.monotonic()
    await feed.provider.say(b"{")
    await feed.provider.say(json.dumps(said(88_888)))
    assert (await feed.numbers(good + 2))[-1] == 88_888
    next_ms = (time.monotonic() - at) * 1000
    rejects = len(feed.ears.rejects("feed"))
    readings = sum(len(bundle.readings) for bundle in feed.ears.bundles()) - good - 2
    tell(
        "malformed WebSocket", sent=MALFORMED, rejected=rejects, readings=readings, seconds=took_s,
        connections=len(feed.provider.handshakes), good_one_behind_bad_one_ms=next_ms,
    )  # fmt: skip
    assert rejects + readings >= MALFORMED + 1
    assert len(feed.provider.handshakes) == 1, "no message ended the connection"
    assert feed.service.is_ready()


async def test_while_the_broker_is_frozen_the_socket_is_not_read_and_nothing_is_lost(
    opened: Opened, broker: Mosquitto
) -> None:
    feed, count, sent = await opened(), 10_000, 0
    await feed.provider.connected()
    await feed.provider.say(json.dumps(said(0)))
    await feed.numbers(1)
    before_mb = feed.service.memory_mb()

    async def say_all() -> None:
        nonlocal sent
        for number in range(1, count):
            await feed.provider.say(json.dumps(said(number, note="x" * 4000)))
            sent += 1

    broker.signal(signal.SIGSTOP)
    saying = asyncio.create_task(say_all())
    await asyncio.sleep(3)
    held, grown_mb = sent, feed.service.memory_mb() - before_mb
    broker.signal(signal.SIGCONT)
    await saying
    numbers = await feed.numbers(count)
    tell("WebSocket while the broker is frozen", messages=count, held_back_after=held, memory_growth_mb=grown_mb)
    assert held < count / 2
    assert grown_mb < 30
    assert sorted(set(numbers)) == list(range(count))
