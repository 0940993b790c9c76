"""Readings and rejects as messages that fit the bus."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from caudal.common.bus import topics
from caudal.common.bus.codec import MAX_BUNDLE_BYTES, MAX_MESSAGE_BYTES, encode
from caudal.common.bus.messages import RawReading, RawReadings, Rejected
from caudal.common.domain.payloads.refusals import Unreadable, printable
from caudal.common.domain.readings import Inlet
from caudal.common.ports import Outgoing
from caudal.ingest.domain.payloads import text_or_base64

MAX_READINGS = 500
"""Readings in one bundle."""
MAX_REJECTED_TEXT = 180_000
"""Characters kept of a rejected payload; whole for all that a message can bring, unless it has to be escaped."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
REASONS_SHOWN = 3
"""Reasons spelled out when a payload has many."""


class Source(msgspec.Struct, frozen=True):
    """What readings must have in common to travel in one bundle."""

    device: str
    inlet: Inlet
    provider: str | None = None
    window: str | None = None
    source_format: str | None = None


def bundles(source: Source, readings: Sequence[RawReading]) -> list[Outgoing]:
    """`readings` in their order, in as few messages as hold them."""
    messages: list[Outgoing] = []
    topic = topics.TELEMETRY_RAW.address(device=source.device)
    for start in range(0, len(readings), MAX_READINGS):
        _pack(topic, source, readings[start : start + MAX_READINGS], messages)
    return messages


def _pack(topic: str, source: Source, readings: Sequence[RawReading], messages: list[Outgoing]) -> None:
    payload = _encoded(source, readings)
    if len(payload) <= MAX_BUNDLE_BYTES:
        messages.append(Outgoing(topic, payload, needs_reader=True))
    elif len(readings) > 1:
        half = len(readings) // 2
        _pack(topic, source, readings[:half], messages)
        _pack(topic, source, readings[half:], messages)
    else:
        shortened = _encoded(source, [_shortened(readings[0], len(payload))])
        messages.append(Outgoing(topic, shortened, needs_reader=True))


def _encoded(source: Source, readings: Sequence[RawReading]) -> bytes:
    return encode(
        RawReadings(
            device=source.device,
            inlet=source.inlet,
            readings=list(readings),
            provider=source.provider,
            window=source.window,
            source_format=source.source_format,
        )
    )


def _shortened(reading: RawReading, size: int) -> RawReading:
    """`reading` with as much of its payload's text as fits; numbers and problems stay whole."""
    text = reading.payload
    escaped = len(encode(text))
    room = max(0, MAX_BUNDLE_BYTES - (size - escaped) - 100)
    kept = len(text) * room // escaped
    while len(encode(text[:kept])) > room + 2:
        kept //= 2
    return msgspec.structs.replace(reading, payload=f"{text[:kept]}… (cut: {kept} of {len(text)} characters)")


def rejected(
    topic: str,
    payload: bytes,
    received_at: datetime,
    source: Source,
    refused: Sequence[Unreadable],
    kept: int = 0,
) -> Outgoing:
    """What could not be read, whole if a message can hold it, with its reasons.

    Args:
        topic: Where it came in, and can be published again.
        payload: As it came.
        received_at: When.
        source: Whose it is.
        refused: Why; at least one.
        kept: Readings of the same payload that were accepted.
    """
    most = MAX_REJECTED_TEXT
    while True:
        message = _rejected(topic, payload, received_at, source, _reason(refused, kept), refused[0].field, most)
        encoded = encode(message)
        if len(encoded) <= MAX_MESSAGE_BYTES:
            return Outgoing(topics.TELEMETRY_REJECTED.address(device=source.device), encoded, needs_reader=True)
        most //= 2


def _rejected(
    topic: str, payload: bytes, received_at: datetime, source: Source, reason: str, field: str, most: int
) -> Rejected:
    text, encoding, cut = text_or_base64(payload, most)
    if cut:
        reason = f"{reason} (cut: {len(text)} of {len(text) + cut} characters of the payload are kept)"
    # A row that a provider keeps is the same row whenever we are given it; what is sent to us is sent anew each time.
    name = (topic or source.device, payload, _EVER if source.inlet is Inlet.POLL else received_at)
    return Rejected(
        id=digest(*name),
        device=source.device,
        received_at=received_at,
        inlet=source.inlet,
        topic=printable(topic),
        reason=reason,
        field=field or None,
        payload=text,
        payload_encoding=encoding,
        provider=source.provider,
    )


def _reason(refused: Sequence[Unreadable], kept: int) -> str:
    if len(refused) == 1 and not kept:
        return refused[0].reason
    shown = "; ".join(f"{each.field}: {each.reason}" for each in refused[:REASONS_SHOWN])
    more = f"; and {len(refused) - REASONS_SHOWN} more" if len(refused) > REASONS_SHOWN else ""
    return f"{shown}{more} ({kept} readings of this payload were accepted)"


def digest(topic: str, payload: bytes, received_at: datetime) -> str:
    """Name of one delivery, the same whenever it is told again."""
    said = blake2b(topic.encode("utf-8", "surrogatepass"), digest_size=16)
    said.update(b"\0" + received_at.isoformat().encode() + b"\0" + payload)
    return said.hexdigest()
