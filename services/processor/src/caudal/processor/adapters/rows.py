"""Rows of the tables to the ledger's types and back. Tuples are in the order of the table's columns."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import RowMapping

from caudal.common.bus.messages import ProcessedValue, RawReading, Rejected
from caudal.common.domain.readings import Inlet, RawStatus
from caudal.processor.domain.fold import PointState
from caudal.processor.domain.ledger import Measured, Row
from caudal.processor.ports import Entry, Head, RawRecord

_json = msgspec.json.Encoder()
_measured = msgspec.json.Decoder(dict[str, Measured])
_processed = msgspec.json.Decoder(dict[str, ProcessedValue])
_state = msgspec.json.Decoder(PointState)
_values = msgspec.json.Decoder(dict[str, int | float])
_problems = msgspec.json.Decoder(dict[str, str])


_body_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(list[Entry])


def _text(value: object) -> str:
    return _json.encode(value).decode()


def row_columns(point: str, row: Row) -> tuple[Any, ...]:
    """A row of the ledger as columns of ROWS."""
    return (
        point,
        row.at,
        row.received_at,
        row.device,
        row.provider,
        _text(row.measured),
        _text(row.processed),
        _text(row.state),
    )


def row_from(columns: RowMapping) -> Row:
    """Columns as a row of the ledger."""
    return Row(
        at=columns["measured_at"],
        device=columns["device"],
        provider=columns["provider"],
        measured=_measured.decode(columns["measured_json"]),
        processed=_processed.decode(columns["processed_json"]),
        state=_state.decode(columns["state_json"]),
        received_at=columns["received_at"],
    )


def head_columns(point: str, head: Head) -> tuple[Any, ...]:
    """A head as columns of HEADS."""
    return (point, head.at, _text(head.state))


def head_from(at: datetime | str, state: str) -> Head:
    """Columns, as the driver gives them, as a head."""
    return Head(datetime.fromisoformat(at) if isinstance(at, str) else at, _state.decode(state))


def raw_columns(record: RawRecord) -> tuple[Any, ...]:
    """A raw reading as columns of RAW."""
    reading = record.reading
    return (
        record.id,
        record.device,
        record.point,
        record.inlet,
        record.provider,
        record.window,
        record.source_format,
        reading.measured_at,
        reading.received_at,
        reading.logged_at,
        record.status,
        _storable(record.reason),
        _text(reading.values),
        _text(reading.problems) if reading.problems else "{}",
        _storable(reading.payload),
    )


def raw_from(columns: RowMapping) -> RawRecord:
    """Columns as a raw reading."""
    return RawRecord(
        id=columns["id"],
        device=columns["device"],
        inlet=Inlet(columns["inlet"]),
        reading=RawReading(
            measured_at=columns["measured_at"],
            received_at=columns["received_at"],
            logged_at=columns["logged_at"],
            values=_values.decode(columns["values_json"]),
            problems=_problems.decode(columns["problems_json"]),
            payload=columns["payload"],
        ),
        status=RawStatus(columns["status"]),
        point=columns["point"],
        provider=columns["provider"],
        window=columns["window_id"],
        source_format=columns["source_format"],
        reason=columns["reason"],
    )


def window_columns(record: RawRecord) -> tuple[Any, ...]:
    """A reading of a batch window as columns of WINDOW_ROWS."""
    reading = record.reading
    return (
        record.device,
        reading.measured_at,
        reading.received_at,
        record.id,
        record.window,
        record.source_format,
        _text(reading.values),
    )


def rejected_columns(rejected: Rejected) -> tuple[Any, ...]:
    """A rejected payload as columns of REJECTED; it was not replayed yet."""
    return (
        rejected.id[:64],
        rejected.device,
        rejected.received_at,
        rejected.inlet,
        rejected.topic[:255],
        _storable(rejected.reason),
        _storable(rejected.field) if rejected.field else None,
        _storable(rejected.payload),
        rejected.payload_encoding,
        rejected.provider,
        None,
    )


def _storable(text: str) -> str:
    """`text` with NUL, which PostgreSQL can't hold, written as in JSON."""
    return text.replace("\x00", "\\u0000") if "\x00" in text else text


def outbox_body(entries: list[Entry]) -> bytes:
    """Outbox entries as bytes."""
    return _body_encoder.encode(entries)


def outbox_entries(body: bytes) -> list[Entry]:
    """Bytes as outbox entries."""
    return _body_decoder.decode(body)
