"""Providers that are asked, where they keep a point's values, and the sealed secrets that asking needs."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0004"
down_revision = "0001"

VIEWS = {
    "catalog_points": "select code, device, provider, type, status, name, time_zone, sampling_minutes, mapping,"
    " max_rows, rules, source from points",
    "catalog_providers": "select code, name, type, api, connection, authentication, mapping, time_zone, active,"
    " testing from providers",
    "catalog_credentials": "select owner_kind, owner, name, sealed, updated_at from gateway_credentials",
}


def upgrade() -> None:
    """Add columns and a table, and publish them."""
    op.create_table(
        "gateway_credentials",
        sa.Column("owner_kind", sa.String(16), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.add_column("points", sa.Column("source", sa.Text))
    for column in (
        sa.Column("type", sa.String(16), nullable=False, server_default="HTTP_API"),
        sa.Column("api", sa.String(32)),
        sa.Column("connection", sa.Text, nullable=False, server_default="{}"),
        sa.Column("authentication", sa.Text, nullable=False, server_default="{}"),
        sa.Column("testing", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("providers", column)
    for name, query in VIEWS.items():
        op.execute(f"drop view if exists {name}")
        op.execute(f"create view {name} as {query}")
