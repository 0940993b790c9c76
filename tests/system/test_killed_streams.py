"""Ingest is killed while a device streams to it and a provider is listened to: what had a receipt is stored, once."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from cryptography.fernet import Fernet

from caudal.ingest.entrypoints.grpc.readings_pb2 import Readings
from figures import tell
from providers.websocket import MAPPING, WebsocketProvider, said
from servers.platform import Platform
from servers.process import free_port
from streaming import Sender, batch, reading

KILLS = 3
IN_A_BATCH = 5
AT_ONCE = 50
"""Batches under way on a stream."""
RAW = "/api/telemetry/raw/?device=D-feed"


class StreamedTo(Platform):
    """The platform with both doors open."""

    grpc_port = 0
    _key = Fernet.generate_key().decode()

    def settings(self) -> dict[str, str]:
        """As the platform's."""
        self.grpc_port = self.grpc_port or free_port()
        doors = {"CAUDAL_GRPC_PORT": str(self.grpc_port), "CAUDAL_POLLING_NETWORKS": "127.0.0.0/8"}
        return super().settings() | doors | {"CAUDAL_CREDENTIALS_KEYS": self._key}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[StreamedTo]:
    with StreamedTo(tmp_path) as started:
        assert isinstance(started, StreamedTo)
        yield started


class Logger:
    """A device that keeps every batch until its receipt has come."""

    def __init__(self, platform: StreamedTo, key: str) -> None:
        self.platform, self.key = platform, key
        self.made = 0
        self.safe: set[str] = set()
        self.calls = 0
        self._waiting: dict[str, Readings] = {}

    async def stream(self, enough: asyncio.Event) -> None:
        """Stream new batches until `enough`, through all that happens; return once each has its receipt."""
        while not enough.is_set() or self._waiting:
            self.calls += 1
            try:
                async with Sender(self.platform.grpc_port, self.key) as sender:
                    async for receipt in sender.stream(self._batches(enough)):
                        assert receipt.accepted == IN_A_BATCH, receipt
                        self.safe.add(receipt.batch)
                        self._waiting.pop(receipt.batch, None)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)

    async def _batches(self, enough: asyncio.Event) -> AsyncIterator[Readings]:
        for each in list(self._waiting.values()):
            yield each
        while not enough.is_set():
            if len(self._waiting) < AT_ONCE:
                first = IN_A_BATCH * self.made
                made = batch(f"b-{self.made}", "meter-0", *(reading(first + i) for i in range(IN_A_BATCH)))
                self._waiting[made.batch] = made
                self.made += 1
                yield made
            await asyncio.sleep(0.002)


async def test_after_kills_every_batch_with_a_receipt_is_stored_once(platform: StreamedTo) -> None:
    key = platform.api("POST", "/api/api-keys/", {"device": "meter-0", "permissions": ["telemetry:push"]})["key"]
    logger, enough, chance = Logger(platform, key), asyncio.Event(), random.Random(20260302)
    async with WebsocketProvider(free_port()) as provider:
        entry = {"code": "feed", "type": "WEBSOCKET", "connection": {"url": provider.url}, "mapping": MAPPING}
        platform.api("POST", "/api/providers/", entry)
        platform.api(
            "POST",
            "/api/points/",
            {"code": "river", "device": "D-feed", "variables": [{"code": "flow", "type": "flow"}]},
        )
        streaming = asyncio.create_task(logger.stream(enough))
        safe_before_kills = []
        for times in range(1, KILLS + 1):
            await provider.connected(times)
            wanted = len(logger.safe) + chance.randrange(20, 200)
            async with asyncio.timeout(30):
                while len(logger.safe) < wanted:
                    await asyncio.sleep(0.005)
            safe_before_kills.append(len(logger.safe))
            await asyncio.to_thread(platform.ingest.kill)
            await asyncio.to_thread(platform.ingest.start)
        await provider.connected(KILLS + 1)
        await provider.say(b'{"' + b"x" * 100)
        await provider.say(json.dumps(said(1)))
        enough.set()
        await streaming
        stored = await asyncio.to_thread(platform.stored_when, len(logger.safe) * IN_A_BATCH)
        async with asyncio.timeout(30):
            while not (raw := await asyncio.to_thread(platform.api, "GET", RAW))["items"]:
                await asyncio.sleep(0.1)
    tell(
        "kill -9 of ingest under a stream", receipts_before_kills=safe_before_kills, receipts=len(logger.safe),
        calls=logger.calls, acknowledged=len(logger.safe) * IN_A_BATCH, stored=stored,
    )  # fmt: skip
    assert len(logger.safe) == logger.made
    assert stored == len(logger.safe) * IN_A_BATCH
    assert [each["inlet"] for each in raw["items"]] == ["websocket"]
