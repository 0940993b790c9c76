"""When the last round of asking providers began, for those who look after the platform.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Show it; a round that was cut short has no beginning, so that the next one begins at once."""
    op.execute(
        "create view polling_rounds as select name, begun_at, holder is not null as is_under_way"
        " from ingest_rounds where name = 'poll'"
    )
