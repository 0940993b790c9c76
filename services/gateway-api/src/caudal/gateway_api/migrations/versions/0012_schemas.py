"""Dynamic schemas, and the view of them by which the processor computes records."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table, and publish it."""
    op.create_table(
        "schemas",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("client", sa.String(64), sa.ForeignKey("clients.code", name="schemas_client_fkey")),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("group_by", sa.String(16), nullable=False),
        sa.Column("points", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("display", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_schemas_client", "schemas", ["client"])
    op.execute(
        "create view catalog_schemas as select code, client, name, kind, active, period, time_zone, group_by, points,"
        " fields, rules, display, created_at, updated_at from schemas"
    )
