"""Where replicas without a Redis count requests together."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "gateway_request_counts",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
    )
