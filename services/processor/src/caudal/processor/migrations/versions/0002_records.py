"""Records of dynamic schemas, the parts they are made of, and a view to read them.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and the view."""
    op.create_table(
        "processor_record_parts",
        sa.Column("schema", sa.String(64), primary_key=True),
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("starts_at", UtcDateTime, primary_key=True),
        sa.Column("group_key", sa.String(64), nullable=False),
        sa.Column("readings", sa.Integer, nullable=False),
        sa.Column("tallies_json", sa.Text, nullable=False),
    )
    op.create_index("processor_record_parts_by_group", "processor_record_parts", ["schema", "group_key", "starts_at"])
    op.create_table(
        "processor_records",
        sa.Column("schema", sa.String(64), primary_key=True),
        sa.Column("group_key", sa.String(64), primary_key=True),
        sa.Column("starts_at", UtcDateTime, primary_key=True),
        sa.Column("point", sa.String(64)),
        sa.Column("client", sa.String(64)),
        sa.Column("values_json", sa.Text, nullable=False),
        sa.Column("flags_json", sa.Text, nullable=False),
        sa.Column("reasons_json", sa.Text, nullable=False),
        sa.Column("readings", sa.Integer, nullable=False),
        sa.Column("definition", sa.String(32), nullable=False),
        sa.Column("computed_at", UtcDateTime, nullable=False),
    )
    op.create_index("processor_records_by_time", "processor_records", ["schema", "starts_at"])
    op.execute(
        'create view schema_records as select schema, group_key as "group", starts_at, point, client, values_json, '
        "flags_json, reasons_json, readings, computed_at from processor_records"
    )


def downgrade() -> None:
    """Forget all records."""
    op.execute("drop view schema_records")
    op.drop_table("processor_records")
    op.drop_table("processor_record_parts")
