"""The ledger: raw readings, rows, heads, the outbox, rejected payloads, collected window rows, and views to read them.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and the views."""
    _raw()
    _rows()
    _outbox()
    _rejected()
    _windows()
    _views()


def _raw() -> None:
    op.create_table(
        "processor_raw",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("point", sa.String(64)),
        sa.Column("inlet", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(64)),
        sa.Column("window_id", sa.String(64)),
        sa.Column("source_format", sa.String(16)),
        sa.Column("measured_at", UtcDateTime, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("logged_at", UtcDateTime),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("values_json", sa.Text, nullable=False),
        sa.Column("problems_json", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_index("processor_raw_by_device", "processor_raw", ["device", "measured_at"])
    op.create_index("processor_raw_by_receipt", "processor_raw", ["received_at"])
    pending = sa.text("status = 'PENDING'")
    op.create_index(
        "processor_raw_pending", "processor_raw", ["device"], sqlite_where=pending, postgresql_where=pending
    )


def _rows() -> None:
    op.create_table(
        "processor_rows",
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("measured_at", UtcDateTime, primary_key=True),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("measured_json", sa.Text, nullable=False),
        sa.Column("processed_json", sa.Text, nullable=False),
        sa.Column("state_json", sa.Text, nullable=False),
    )
    op.create_table(
        "processor_heads",
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("measured_at", UtcDateTime),
        sa.Column("state_json", sa.Text),
    )


def _outbox() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "processor_outbox",
        sa.Column("id", number, sa.Identity(), primary_key=True),
        sa.Column("sink", sa.String(8), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("processor_outbox_by_sink", "processor_outbox", ["sink", "id"])


def _rejected() -> None:
    op.create_table(
        "processor_rejected",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("inlet", sa.String(16), nullable=False),
        sa.Column("topic", sa.String(255), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("field", sa.Text),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("payload_encoding", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(64)),
        sa.Column("replayed_at", UtcDateTime),
    )
    op.create_index("processor_rejected_by_receipt", "processor_rejected", ["received_at", "id"])


def _windows() -> None:
    op.create_table(
        "processor_window_rows",
        sa.Column("unit", sa.String(64), primary_key=True),
        sa.Column("measured_at", UtcDateTime, primary_key=True),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("raw_id", sa.String(32), nullable=False),
        sa.Column("window_id", sa.String(64)),
        sa.Column("source_format", sa.String(16)),
        sa.Column("row_json", sa.Text, nullable=False),
    )


def _views() -> None:
    op.execute(
        "create view ledger_raw as select id, device, point, inlet, provider, window_id, source_format, measured_at, "
        "received_at, logged_at, status, reason, values_json, problems_json, payload from processor_raw"
    )
    op.execute(
        "create view ledger_rejected as select id, device, received_at, inlet, topic, reason, field, payload, "
        "payload_encoding, provider, replayed_at from processor_rejected"
    )
    op.execute(
        "create view ledger_readings as select point, device, provider, measured_at, received_at, processed_json "
        "from processor_rows"
    )
    op.execute(
        "create view window_rows as select unit, measured_at, received_at, window_id, source_format, row_json "
        "from processor_window_rows"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "create view ledger_flags as select r.point, r.measured_at, v.key as variable, f.value as flag "
            "from processor_rows r, json_each(r.processed_json::json) v, "
            "json_array_elements_text(v.value->'flags') f(value)"
        )
    else:
        op.execute(
            "create view ledger_flags as select r.point, r.measured_at, v.key as variable, f.value as flag "
            "from processor_rows r, json_each(r.processed_json) v, json_each(v.value, '$.flags') f"
        )


def downgrade() -> None:
    """Forget the ledger."""
    for view in ("ledger_flags", "window_rows", "ledger_readings", "ledger_rejected", "ledger_raw"):
        op.execute(f"drop view {view}")
    for table in ("window_rows", "rejected", "outbox", "heads", "rows", "raw"):
        op.drop_table(f"processor_{table}")
