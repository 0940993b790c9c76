"""Since when a point's provider is another one.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("ingest_points", sa.Column("moved_at", UtcDateTime))
