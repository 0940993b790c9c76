"""Since when roles are there."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Of those that are there already it is only known when they were changed."""
    never = "1970-01-01 00:00:00+00:00"
    op.add_column("roles", sa.Column("created_at", UtcDateTime, nullable=False, server_default=never))
    op.execute("update roles set created_at = updated_at")
