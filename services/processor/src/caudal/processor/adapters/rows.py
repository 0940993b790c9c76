"""Rows of the tables to the ledger's types and back."""

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


def row_columns(point: str, row: Row) -> dict[str, Any]:
    """A row of the ledger as columns."""
    return {
        "point": point,
        "measured_at": row.at,
        "received_at": row.received_at,
        "device": row.device,
        "provider": row.provider,
        "measured_json": _text(row.measured),
        "processed_json": _text(row.processed),
        "state_json": _text(row.state),
    }


def row_from(columns: RowMapping) -> Row:
    """Columns as a row of the ledger."""
    return Row(
        at=columns["measured_at"],
        device=columns["device"],
        provider=columns["provider"],
        measured=_measured.decode(columns["measured_json"]),
        processed=_processed.decode(columns["processed_json"]),
        state=_state.decode(columns["state_json"]),
    )


def head_columns(point: str, head: Head) -> dict[str, Any]:
    """A head as columns."""
    return {"point": point, "measured_at": head.at, "state_json": _text(head.state)}


def head_from(columns: RowMapping) -> Head:
    """Columns as a head."""
    return Head(columns["measured_at"], _state.decode(columns["state_json"]))


def raw_columns(record: RawRecord) -> dict[str, Any]:
    """A raw reading as columns. A NUL, which PostgreSQL can't hold, is written as in JSON."""
    reading = record.reading
    return {
        "id": record.id,
        "device": record.device,
        "point": record.point,
        "inlet": record.inlet,
        "provider": record.provider,
        "window_id": record.window,
        "source_format": record.source_format,
        "measured_at": reading.measured_at,
        "received_at": reading.received_at,
        "logged_at": reading.logged_at,
        "status": record.status,
        "reason": record.reason,
        "values_json": _text(reading.values),
        "problems_json": _text(reading.problems),
        "payload": reading.payload.replace("\x00", "\\u0000"),
    }


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


def window_columns(record: RawRecord) -> dict[str, Any]:
    """A reading of a batch window as the collector keeps it."""
    return {
        "unit": record.device,
        "measured_at": record.reading.measured_at,
        "received_at": record.reading.received_at,
        "raw_id": record.id,
        "window_id": record.window,
        "source_format": record.source_format,
        "row_json": _text(record.reading.values),
    }


def rejected_columns(rejected: Rejected) -> dict[str, Any]:
    """A rejected payload as columns."""
    return {
        "id": rejected.id[:64],
        "device": rejected.device,
        "received_at": rejected.received_at,
        "inlet": rejected.inlet,
        "topic": rejected.topic[:255],
        "reason": rejected.reason.replace("\x00", "\\u0000"),
        "field": rejected.field.replace("\x00", "\\u0000") if rejected.field else None,
        "payload": rejected.payload.replace("\x00", "\\u0000"),
        "payload_encoding": rejected.payload_encoding,
        "provider": rejected.provider,
    }


def outbox_body(entries: list[Entry]) -> bytes:
    """Outbox entries as bytes."""
    return _body_encoder.encode(entries)


def outbox_entries(body: bytes) -> list[Entry]:
    """Bytes as outbox entries."""
    return _body_decoder.decode(body)
