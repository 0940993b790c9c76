"""The processor's tables as SQLAlchemy sees them; the migrations make them."""

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, Text

from caudal.common.adapters.sql import UtcDateTime

_metadata = MetaData()

RAW = Table(
    "processor_raw",
    _metadata,
    Column("id", String(32), primary_key=True),
    Column("device", String(64)),
    Column("point", String(64)),
    Column("inlet", String(16)),
    Column("provider", String(64)),
    Column("window_id", String(64)),
    Column("source_format", String(16)),
    Column("measured_at", UtcDateTime),
    Column("received_at", UtcDateTime),
    Column("logged_at", UtcDateTime),
    Column("status", String(16)),
    Column("reason", Text),
    Column("values_json", Text),
    Column("problems_json", Text),
    Column("payload", Text),
)
ROWS = Table(
    "processor_rows",
    _metadata,
    Column("point", String(64), primary_key=True),
    Column("measured_at", UtcDateTime, primary_key=True),
    Column("received_at", UtcDateTime),
    Column("device", String(64)),
    Column("provider", String(64)),
    Column("measured_json", Text),
    Column("processed_json", Text),
    Column("state_json", Text),
)
HEADS = Table(
    "processor_heads",
    _metadata,
    Column("point", String(64), primary_key=True),
    Column("measured_at", UtcDateTime),
    Column("state_json", Text),
)
OUTBOX = Table(
    "processor_outbox",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("sink", String(8)),
    Column("body", LargeBinary),
)
REJECTED = Table(
    "processor_rejected",
    _metadata,
    Column("id", String(64), primary_key=True),
    Column("device", String(64)),
    Column("received_at", UtcDateTime),
    Column("inlet", String(16)),
    Column("topic", String(255)),
    Column("reason", Text),
    Column("field", Text),
    Column("payload", Text),
    Column("payload_encoding", String(16)),
    Column("provider", String(64)),
    Column("replayed_at", UtcDateTime),
)
SILENCES = Table(
    "processor_silences",
    _metadata,
    Column("point", String(64), primary_key=True),
    Column("variable", String(64), primary_key=True),
    Column("since", UtcDateTime),
    Column("device", String(64)),
)
WINDOW_ROWS = Table(
    "processor_window_rows",
    _metadata,
    Column("unit", String(64), primary_key=True),
    Column("measured_at", UtcDateTime, primary_key=True),
    Column("received_at", UtcDateTime),
    Column("raw_id", String(32)),
    Column("window_id", String(64)),
    Column("source_format", String(16)),
    Column("row_json", Text),
)
