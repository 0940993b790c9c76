"""The gRPC server: calls in, batches to the handler, a receipt for each once the broker has it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import structlog

from caudal.common.domain.errors import CaudalError, InvalidInput, Permanent, Transient
from caudal.ingest.domain.admission import NotAllowed, NotKnown
from caudal.ingest.entrypoints.grpc.batches import batch_of, message_of
from caudal.ingest.entrypoints.grpc.readings_pb2 import Readings, Receipt, Refusal
from caudal.ingest.handlers.receiving import StreamedReading

SERVICE = "caudal.ingest.v1.Ingest"
MAX_BYTES = 1024 * 1024
"""Of one message: far more than 500 readings need."""
STREAMS_PER_CONNECTION = 100
TAKE_S = 15.0
"""How long one batch may take."""
GRACE_S = 3.0
"""How long calls may go on when the server stops."""
KEY = "x-api-key"

Take = Callable[[str, str, list[StreamedReading]], Awaitable[int]]
Context = grpc.aio.ServicerContext[bytes, Receipt]

_log = structlog.get_logger(__name__)
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_BYTES),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
    # A device that went without a word is noticed within 40 s; those behind a NAT may ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Two servers on one port would each get some of the calls.
    ("grpc.so_reuseport", 0),
]

_STATUSES = {
    NotKnown: grpc.StatusCode.UNAUTHENTICATED,
    NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
}


class Place(NamedTuple):
    """Where the server listens."""

    host: str
    port: int
    """0: any free one, told in the log."""
    max_calls: int
    """At once, of all senders together."""
    certificate: Path | None = None
    """With `private_key`: TLS. Neither: plain, for networks that nobody else is on."""
    private_key: Path | None = None


class GrpcServer:
    """Serves `caudal.ingest.v1.Ingest`.

    Args:
        take: Takes a batch of a sender with this key, of this device.
        place: Where.
    """

    def __init__(self, take: Take, place: Place) -> None:
        self._take = take
        self._place = place
        self.port = 0
        """Where it listens, once it does."""

    async def run(self) -> None:
        """Serve until cancelled; calls that are open then have a moment to end.

        Raises:
            Permanent: the place is taken, or the certificate cannot be used.
        """
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=self._place.max_calls)
        server.add_generic_rpc_handlers((self._methods(),))
        self.port = self._bound(server)
        await server.start()
        _log.info("gRPC is served", host=self._place.host, port=self.port, tls=self._place.certificate is not None)
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(GRACE_S)

    async def check(self) -> dict[str, int]:
        """Where it listens.

        Raises:
            Transient: nowhere yet.
        """
        if not self.port:
            raise Transient("does not listen yet")
        return {"port": self.port}

    def _methods(self) -> grpc.GenericRpcHandler:
        # Bytes come in as they are: what cannot be decoded is the sender's error and not ours.
        written = Receipt.SerializeToString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Send": grpc.unary_unary_rpc_method_handler(self._send, response_serializer=written),
                "Stream": grpc.stream_stream_rpc_method_handler(self._stream, response_serializer=written),
            },
        )

    def _bound(self, server: grpc.aio.Server) -> int:
        address = f"{self._place.host}:{self._place.port}"
        try:
            if self._place.certificate is None or self._place.private_key is None:
                return server.add_insecure_port(address)
            pair = (self._place.private_key.read_bytes(), self._place.certificate.read_bytes())
            return server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        except (RuntimeError, OSError) as error:
            raise Permanent(f"gRPC cannot be served at {address}: {error}") from error

    async def _send(self, payload: bytes, context: Context) -> Receipt:
        async with _ended_by_errors(context):
            return await self._taken(message_of(payload), _key_of(context))

    async def _stream(self, payloads: AsyncIterator[bytes], context: Context) -> AsyncIterator[Receipt]:
        secret = _key_of(context)
        async with _ended_by_errors(context):
            # The next batch is read when this one is safe: whoever sends faster is held back by HTTP/2.
            async for payload in payloads:
                message = message_of(payload)
                try:
                    receipt = await self._taken(message, secret)
                except InvalidInput as error:
                    receipt = Receipt(batch=message.batch, refusal=Refusal(field=error.field, reason=error.reason))
                yield receipt

    async def _taken(self, message: Readings, secret: str) -> Receipt:
        batch = batch_of(message)
        try:
            async with asyncio.timeout(TAKE_S):
                accepted = await self._take(secret, batch.device, batch.readings)
        except TimeoutError as error:
            raise Transient("the batch could not be handed on in time", 5.0) from error
        return Receipt(batch=batch.name, accepted=accepted)


def _key_of(context: Context) -> str:
    metadata = context.invocation_metadata() or ()
    return next((str(value) for name, value in metadata if name == KEY), "")


@asynccontextmanager
async def _ended_by_errors(context: Context) -> AsyncIterator[None]:
    """End the call with the status that fits whatever is raised."""
    try:
        yield
    except Transient as error:
        pause_ms = ("grpc-retry-pushback-ms", str(round(error.retry_after_s * 1000)))
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error), (pause_ms,))
    except CaudalError as error:
        await context.abort(_STATUSES.get(type(error), grpc.StatusCode.FAILED_PRECONDITION), str(error))
    except Exception as error:  # noqa: BLE001 - one call's fault is not another's, and its words are not the sender's
        _log.error("call failed", error=type(error).__name__, exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "this is our fault, and it is in our log")
