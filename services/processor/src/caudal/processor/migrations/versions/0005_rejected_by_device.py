"""What could not be read of a device is found without reading what could not be read of others.

Revision ID: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """In the order in which it is listed."""
    op.create_index("processor_rejected_by_device", "processor_rejected", ["device", "received_at", "id"])


def downgrade() -> None:
    """Read them all again."""
    op.drop_index("processor_rejected_by_device", "processor_rejected")
