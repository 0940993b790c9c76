"""Which file an order to run a window is about, so that no upload goes while it is needed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; of orders before it nobody knows."""
    op.add_column("gateway_commands", sa.Column("file", sa.Text))
