"""What a point's readings were judged by before its configuration changed."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0011"
down_revision = "0010"

JOINED = {"sqlite": "group_concat(body, ',')", "postgresql": "string_agg(body, ',')"}
"""In no order: readers sort, since the databases do so in different words."""


def upgrade() -> None:
    """Make the table, and publish it: line by line, and as one text beside each point."""
    op.create_table(
        "point_versions",
        sa.Column("point", sa.String(64), sa.ForeignKey("points.code", ondelete="CASCADE"), primary_key=True),
        sa.Column("valid_until", UtcDateTime, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.execute("create view catalog_point_versions as select point, valid_until, body from point_versions")
    op.execute("drop view catalog_points")
    op.execute(
        "create view catalog_points as select code, device, client, provider, type, status, name, latitude, longitude,"
        " altitude_m, time_zone, sampling_minutes, mapping, max_rows, rules, source,"
        f" (select '[' || {JOINED[op.get_bind().dialect.name]} || ']' from point_versions"
        " where point_versions.point = points.code) as earlier from points"
    )
