"""When a variable was added and last changed; of those that are there, all that is known is their point's."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0014"
down_revision = "0013"

EPOCH = "1970-01-01T00:00:00.000000Z"


def upgrade() -> None:
    """Add the columns and fill them."""
    for name in ("created_at", "updated_at"):
        op.add_column("variables", sa.Column(name, UtcDateTime, nullable=False, server_default=EPOCH))
        op.execute(
            f"update variables set {name} = (select points.{name} from points where points.code = variables.point)"
        )
