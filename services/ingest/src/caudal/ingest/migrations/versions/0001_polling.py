"""What was asked of providers and how far it is complete, and the views in which gateway-api shows it."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0001"
down_revision = None

VIEWS = {
    "polling_points": "select p.point, p.provider, p.asked_at, p.answered_at, p.measured_until, p.failures, p.error,"
    " p.error_at, p.is_behind, (select min(c.complete_until) from ingest_cursors c where c.point = p.point)"
    " as complete_until from ingest_points p",
    "polling_providers": "select provider, connected_at, error, error_at, failures, open_until from ingest_providers",
}


def upgrade() -> None:
    """Make the tables and the views."""
    op.create_table(
        "ingest_cursors",
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("variable", sa.String(64), primary_key=True),
        sa.Column("complete_until", UtcDateTime, nullable=False),
        sa.Column("moved_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "ingest_points",
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("provider", sa.String(64), nullable=False, index=True),
        sa.Column("asked_at", UtcDateTime),
        sa.Column("answered_at", UtcDateTime),
        sa.Column("measured_until", UtcDateTime),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("error_at", UtcDateTime),
        sa.Column("is_behind", sa.Boolean, nullable=False),
    )
    op.create_table(
        "ingest_providers",
        sa.Column("provider", sa.String(64), primary_key=True),
        sa.Column("connected_at", UtcDateTime),
        sa.Column("error", sa.Text),
        sa.Column("error_at", UtcDateTime),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("pauses", sa.Integer, nullable=False),
        sa.Column("open_until", UtcDateTime),
    )
    op.create_table(
        "ingest_rounds",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("holder", sa.String(255)),
        sa.Column("begun_at", UtcDateTime, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
    )
    for name, query in VIEWS.items():
        op.execute(f"create view {name} as {query}")
