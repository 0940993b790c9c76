"""Whose order it was: a client may ask how its own imports of history have come along."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column; orders from before were of devices and schemas, which say whose they are, or staff's."""
    op.add_column("gateway_commands", sa.Column("client", sa.String(64)))
