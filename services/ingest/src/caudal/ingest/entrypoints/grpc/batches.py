"""From messages on the wire to batches: whatever the bytes, a batch or the field that cannot be used."""

import math
from datetime import UTC, datetime
from typing import NamedTuple

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import checked_id
from caudal.ingest.entrypoints.grpc.readings_pb2 import Reading, Readings, Value
from caudal.ingest.handlers.receiving import StreamedReading

MAX_READINGS = 500
"""Of one batch: as many as travel in one bundle."""
MAX_VALUES = 200
"""Of one reading: as many variables as a point may have."""
MAX_TEXT = 1000
"""Characters of a value."""
MAX_NAME = 64
"""Characters of a batch's name."""


class Batch(NamedTuple):
    """A batch, with the name that its receipt repeats."""

    name: str
    device: str
    readings: list[StreamedReading]


def message_of(payload: bytes) -> Readings:
    """The message in `payload`.

    Raises:
        InvalidInput: there is none.
    """
    try:
        message = Readings.FromString(payload)
    except DecodeError as error:
        raise InvalidInput("message", "is no caudal.ingest.v1.Readings") from error
    if len(message.batch) > MAX_NAME:
        raise InvalidInput("batch", f"has {len(message.batch)} characters; at most {MAX_NAME}")
    return message


def batch_of(message: Readings) -> Batch:
    """The batch in `message`.

    Raises:
        InvalidInput: a field cannot be used; the error names it.
    """
    device = checked_id(message.device, "device") if message.device else ""
    if not 1 <= len(message.readings) <= MAX_READINGS:
        raise InvalidInput("readings", f"has {len(message.readings)}; 1 to {MAX_READINGS}")
    readings = [_reading_of(reading, f"readings[{place}]") for place, reading in enumerate(message.readings)]
    return Batch(message.batch, device, readings)


def _reading_of(reading: Reading, where: str) -> StreamedReading:
    if not reading.HasField("measured_at"):
        raise InvalidInput(f"{where}.measured_at", "is missing")
    if not 1 <= len(reading.values) <= MAX_VALUES:
        raise InvalidInput(f"{where}.values", f"has {len(reading.values)}; 1 to {MAX_VALUES}")
    logged_at = _instant(reading.logged_at, f"{where}.logged_at") if reading.HasField("logged_at") else None
    return StreamedReading(
        _instant(reading.measured_at, f"{where}.measured_at"),
        {checked_id(code, f"{where}.values"): _plain(reading.values[code], where, code) for code in reading.values},
        logged_at,
    )


def _instant(timestamp: Timestamp, field: str) -> datetime:
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(field, "is no time between the years 1 and 9999") from error


def _plain(value: Value, where: str, code: str) -> int | float | str | bool:
    field = f"{where}.values[{code}]"
    kind = value.WhichOneof("kind")
    if kind is None:
        raise InvalidInput(field, "is empty: leave out what was not measured")
    if kind == "number" and not math.isfinite(value.number):
        raise InvalidInput(field, "is no finite number")
    if kind == "text" and len(value.text) > MAX_TEXT:
        raise InvalidInput(field, f"has {len(value.text)} characters; at most {MAX_TEXT}")
    plain: int | float | str | bool = getattr(value, kind)
    return plain
