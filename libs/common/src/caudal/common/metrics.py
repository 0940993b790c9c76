"""What every service counts. Each service has its own registry; nothing is counted in a global one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
HANDLER_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class BusMetrics:
    """Messages in and out, how they were handled, and whether the broker is there."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._received = Counter(
            "caudal_bus_received", "Deliveries handled or put away", ["subscription"], registry=registry
        )
        self._published = Counter("caudal_bus_published", "Messages that the broker acknowledged", registry=registry)
        self._poison = Counter("caudal_bus_poison", "Deliveries put away", ["subscription"], registry=registry)
        self._retries = Counter("caudal_bus_retries", "Batches tried again", ["subscription"], registry=registry)
        self._batch_sizes = Histogram(
            "caudal_bus_batch_size", "Deliveries per batch", ["subscription"], registry=registry, buckets=BATCH_SIZES
        )
        self._seconds = Histogram(
            "caudal_bus_handler_seconds",
            "Time of one batch in its handler",
            ["subscription"],
            registry=registry,
            buckets=HANDLER_SECONDS,
        )
        self._connected = Gauge("caudal_bus_connected", "1 while connected", ["session"], registry=registry)

    @contextmanager
    def handling(self, subscription: str, size: int) -> Iterator[None]:
        """Time and size of one batch in its handler, whether it ends well or not."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.labels(subscription).observe(time.perf_counter() - begun)
            self._batch_sizes.labels(subscription).observe(size)

    def received(self, subscription: str, count: int) -> None:
        """`count` deliveries were acknowledged."""
        self._received.labels(subscription).inc(count)

    def published(self, count: int) -> None:
        """`count` messages were acknowledged by the broker."""
        self._published.inc(count)

    def poison(self, subscription: str) -> None:
        """A delivery was put away."""
        self._poison.labels(subscription).inc()

    def retry(self, subscription: str) -> None:
        """A batch is tried again."""
        self._retries.labels(subscription).inc()

    def connected(self, session: str, is_connected: bool) -> None:
        """The connection of `session` came or went."""
        self._connected.labels(session).set(is_connected)
