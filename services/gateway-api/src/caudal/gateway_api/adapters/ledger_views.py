"""The views of the ledger that the processor's migrations publish, and gateway-api only reads."""

import sqlalchemy as sa

from caudal.common.adapters.sql import UtcDateTime
from caudal.gateway_api.adapters.tables import points

ledger_raw = sa.table(
    "ledger_raw",
    sa.column("id", sa.String),
    sa.column("device", sa.String),
    sa.column("point", sa.String),
    sa.column("inlet", sa.String),
    sa.column("provider", sa.String),
    sa.column("window_id", sa.String),
    sa.column("source_format", sa.String),
    sa.column("measured_at", UtcDateTime),
    sa.column("received_at", UtcDateTime),
    sa.column("logged_at", UtcDateTime),
    sa.column("status", sa.String),
    sa.column("reason", sa.String),
    sa.column("values_json", sa.Text),
    sa.column("payload", sa.Text),
)
ledger_rejected = sa.table(
    "ledger_rejected",
    sa.column("id", sa.String),
    sa.column("device", sa.String),
    sa.column("received_at", UtcDateTime),
    sa.column("inlet", sa.String),
    sa.column("topic", sa.String),
    sa.column("reason", sa.String),
    sa.column("field", sa.String),
    sa.column("payload", sa.Text),
    sa.column("payload_encoding", sa.String),
    sa.column("provider", sa.String),
    sa.column("replayed_at", UtcDateTime),
)
ledger_readings = sa.table(
    "ledger_readings",
    sa.column("point", sa.String),
    sa.column("device", sa.String),
    sa.column("provider", sa.String),
    sa.column("measured_at", UtcDateTime),
    sa.column("received_at", UtcDateTime),
    sa.column("processed_json", sa.Text),
)
ledger_silences = sa.table(
    "ledger_silences",
    sa.column("point", sa.String),
    sa.column("variable", sa.String),
    sa.column("since", UtcDateTime),
)
ledger_flags = sa.table(
    "ledger_flags",
    sa.column("point", sa.String),
    sa.column("measured_at", UtcDateTime),
    sa.column("variable", sa.String),
    sa.column("flag", sa.String),
)
window_rows = sa.table(
    "window_rows",
    sa.column("unit", sa.String),
    sa.column("measured_at", UtcDateTime),
    sa.column("received_at", UtcDateTime),
    sa.column("window_id", sa.String),
    sa.column("source_format", sa.String),
    sa.column("row_json", sa.Text),
)
schema_records = sa.table(
    "schema_records",
    sa.column("schema", sa.String),
    sa.column("group", sa.String),
    sa.column("starts_at", UtcDateTime),
    sa.column("point", sa.String),
    sa.column("client", sa.String),
    sa.column("values_json", sa.Text),
    sa.column("flags_json", sa.Text),
    sa.column("reasons_json", sa.Text),
    sa.column("readings", sa.Integer),
    sa.column("computed_at", UtcDateTime),
)
RECORD_CLIENT: sa.ColumnElement[str | None] = sa.func.coalesce(schema_records.c.client, points.c.client)
"""Whose a record is, where it is joined with its point: that of the point is the client's who has it now."""
