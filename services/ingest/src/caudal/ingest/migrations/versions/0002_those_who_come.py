"""Since when providers are connected that come by themselves, and when they last said something."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and show them."""
    op.execute("drop view polling_providers")
    for name in ("connected_since", "heard_at"):
        op.add_column("ingest_providers", sa.Column(name, UtcDateTime))
    op.execute(
        "create view polling_providers as select provider, connected_at, error, error_at, failures, open_until,"
        " connected_since, heard_at from ingest_providers"
    )
