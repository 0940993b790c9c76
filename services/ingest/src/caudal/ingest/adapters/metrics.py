"""Counters of what came in, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter

from caudal.common.domain.payloads.refusals import Refusal
from caudal.common.domain.readings import Inlet


class PrometheusTally:
    """Counts in the service's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accepted = Counter("caudal_ingest_readings", "Readings handed on", ["inlet"], registry=registry)
        self._rejected = Counter(
            "caudal_ingest_rejected", "Payloads put away with a reason", ["inlet", "reason"], registry=registry
        )
        self._dropped = Counter("caudal_ingest_dropped", "Messages let go on purpose", ["reason"], registry=registry)

    def accepted(self, inlet: Inlet, readings: int) -> None:
        """`readings` were handed on."""
        self._accepted.labels(inlet.value).inc(readings)

    def rejected(self, inlet: Inlet, kind: Refusal) -> None:
        """A payload was put away, whole or in part."""
        self._rejected.labels(inlet.value, kind.value).inc()

    def dropped(self, reason: str) -> None:
        """A message was let go on purpose."""
        self._dropped.labels(reason).inc()
