"""Points and variables that have fallen silent, and a view to read them.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the view."""
    op.create_table(
        "processor_silences",
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("variable", sa.String(64), primary_key=True),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
    )
    op.execute("create view ledger_silences as select point, variable, since from processor_silences")


def downgrade() -> None:
    """Forget who is silent."""
    op.execute("drop view ledger_silences")
    op.drop_table("processor_silences")
