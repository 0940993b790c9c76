"""Idempotency-Keys of everybody, with the answers that they got, in the place of those of pushes."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table. Keys of pushes are not taken over: a reading that comes again is recognised by the fold."""
    op.create_table(
        "gateway_repeats",
        sa.Column("owner", sa.String(80), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("claimed_at", UtcDateTime, nullable=False, index=True),
        sa.Column("answer", sa.Text),
    )
    op.drop_table("gateway_pushes")
