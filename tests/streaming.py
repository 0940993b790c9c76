"""Who streams to ingest over gRPC: messages, and a client made of the proto alone."""

import hashlib
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from caudal.ingest.entrypoints.grpc.readings_pb2 import Reading, Readings, Receipt, Value

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
SEND, STREAM = "/caudal.ingest.v1.Ingest/Send", "/caudal.ingest.v1.Ingest/Stream"


def stamp(at: datetime) -> Timestamp:
    """`at` on the wire."""
    timestamp = Timestamp()
    timestamp.FromDatetime(at)
    return timestamp


def reading(number: int, **values: Value) -> Reading:
    """Reading `number`, a minute after the one before it; a total and a flow unless `values` are given."""
    given = values or {"total": Value(integer=1000 + number), "flow": Value(number=0.5)}
    return Reading(measured_at=stamp(START + timedelta(minutes=number)), values=given)


def batch(name: str, device: str, *readings: Reading) -> Readings:
    """A batch."""
    return Readings(batch=name, device=device, readings=readings)


class Sender:
    """A client on one connection, with a key."""

    def __init__(self, port: int, key: str | None, credentials: grpc.ChannelCredentials | None = None) -> None:
        address = f"127.0.0.1:{port}"
        options = [("grpc.max_send_message_length", 64 * 1024 * 1024)]
        self.channel = (
            grpc.aio.secure_channel(address, credentials, options)
            if credentials
            else grpc.aio.insecure_channel(address, options)
        )
        self._metadata = [("x-api-key", key)] if key is not None else []

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()

    async def send(self, message: Readings | bytes, timeout_s: float = 30.0) -> Receipt:
        """One batch, or any bytes.

        Raises:
            AioRpcError: it was not taken.
        """
        payload = message if isinstance(message, bytes) else message.SerializeToString()
        call = self.channel.unary_unary(SEND, response_deserializer=Receipt.FromString)
        receipt: Receipt = await call(payload, metadata=self._metadata, timeout=timeout_s, wait_for_ready=True)
        return receipt

    async def stream(self, batches: AsyncIterable[Readings | bytes]) -> AsyncIterator[Receipt]:
        """A receipt for each batch.

        Raises:
            AioRpcError: the stream has ended for another reason.
        """
        call: Any = self.channel.stream_stream(STREAM, response_deserializer=Receipt.FromString)

        async def payloads() -> AsyncIterator[bytes]:
            async for each in batches:
                yield each if isinstance(each, bytes) else each.SerializeToString()

        async for receipt in call(payloads(), metadata=self._metadata, wait_for_ready=True):
            yield receipt


def add_key(catalog: Path, secret: str, **fields: object) -> None:
    """Have one more key in a catalog that `ears.write_catalog` wrote."""
    row = {
        "id": secret.removeprefix("caudal_"), "digest": hashlib.sha256(secret.encode()).hexdigest(),
        "provider": None, "device": None, "client": None,
        "permissions": '["telemetry:push"]', "expires_at": None, "active": 1, **fields,
    }  # fmt: skip
    with sqlite3.connect(catalog) as connection:
        connection.execute(
            "insert into catalog_api_keys values"
            " (:id, :digest, :provider, :device, :client, :permissions, :expires_at, :active)",
            row,
        )
    connection.close()
