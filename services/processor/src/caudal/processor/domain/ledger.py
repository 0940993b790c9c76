"""What the ledger holds of a point: for each instant what was measured, what became of it, and the state after it."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from caudal.common.bus.messages import ProcessedValue, RawReading
from caudal.processor.domain.fold import PointState

_canonical = msgspec.json.Encoder(order="sorted")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """One delivered value of one variable and instant."""

    value: int | float | None
    """None: it was there, but no number."""
    received_at: datetime
    digest: str
    """Of the raw reading that brought it."""

    def rank(self) -> tuple[bool, datetime, str]:
        """Of two deliveries the higher rank stands: a number before none, then the later received, then the digest."""
        return (self.value is not None, self.received_at, self.digest)


class Row(msgspec.Struct, frozen=True):
    """One instant of a point."""

    at: datetime
    device: str
    provider: str
    """The provider when the row was first written; part of the stored series' identity, so it stays."""
    measured: dict[str, Measured]
    processed: dict[str, ProcessedValue]
    state: PointState
    received_at: datetime
    """When the newest of its values came in."""


def digest_of(device: str, reading: RawReading) -> str:
    """Identity of one delivery of one reading, 32 hexadecimal digits: the receipt, then a digest of the content.

    The bus delivering it again gives the same; the device sending it again gives another, by `received_at`. What comes
    one after the other stands together in an index, which costs the database a third less than ids at random.
    """
    content = (device, reading.measured_at, reading.values, reading.problems, reading.logged_at)
    return received_from(reading.received_at) + hashlib.blake2b(_canonical.encode(content), digest_size=8).hexdigest()


def received_from(at: datetime) -> str:
    """What comes before all digests of readings received at `at` or later, and after all others."""
    return f"{(at - _EARLIEST) // _MICROSECOND:016x}"


def measured_in(reading: RawReading, digest: str) -> dict[str, Measured]:
    """The values that a raw reading delivers, unreadable ones included, ordered by variable."""
    received_at = reading.received_at
    delivered = {code: Measured(value, received_at, digest) for code, value in sorted(reading.values.items())}
    if not reading.problems:
        return delivered
    return merged({code: Measured(None, received_at, digest) for code in reading.problems}, delivered)


def merged(standing: Mapping[str, Measured], delivered: Mapping[str, Measured]) -> dict[str, Measured]:
    """Both deliveries as one, ordered by variable; the same in whatever order and however often they are merged."""
    result = dict(standing)
    for code, candidate in delivered.items():
        present = result.get(code)
        if present is None or candidate.rank() > present.rank():
            result[code] = candidate
    return dict(sorted(result.items())) if len(result) > 1 else result
