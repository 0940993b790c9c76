"""Those who look after the platform may see its queues."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

MAY = ("admin", "operator")


def upgrade() -> None:
    """Add the word to the roles of the staff, where they are."""
    roles = sa.table("roles", sa.column("code", sa.String), sa.column("permissions", sa.Text))
    connection = op.get_bind()
    for code, words in connection.execute(sa.select(roles).where(roles.c.code.in_(MAY))).all():
        wider = json.dumps(sorted({*json.loads(words), "queues:read"}))
        connection.execute(sa.update(roles).where(roles.c.code == code).values(permissions=wider))
