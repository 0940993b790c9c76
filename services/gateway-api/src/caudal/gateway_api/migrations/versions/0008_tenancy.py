"""Whose a point and a provider are, where a point is, its owners, and what users want to be told."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0008"
down_revision = "0007"

VIEWS = {
    "catalog_points": "select code, device, client, provider, type, status, name, latitude, longitude, altitude_m,"
    " time_zone, sampling_minutes, mapping, max_rows, rules, source from points",
    "catalog_providers": "select code, client, name, type, api, connection, authentication, mapping, time_zone, active,"
    " testing from providers",
    "catalog_owners": 'select owners.id, owners."user", users.email, users.name, users.active, owners.point,'
    ' owners.kind, owners.permissions from owners join users on users.id = owners."user"',
    "catalog_notifications": 'select notification_preferences.id, notification_preferences."user", users.email,'
    " users.name, users.client, users.active, notification_preferences.point, types, channels, quiet_from, quiet_to,"
    " time_zone, daily_summary from notification_preferences"
    ' join users on users.id = notification_preferences."user"',
}


def upgrade() -> None:
    """Add columns and tables, and publish them."""
    for name in ("catalog_points", "catalog_providers"):
        op.execute(f"drop view {name}")
    _columns()
    _owners()
    _preferences()
    for name, query in VIEWS.items():
        op.execute(f"create view {name} as {query}")


def _columns() -> None:
    for table in ("points", "providers"):
        # In these words both databases add the key with the column; making the table anew would cascade to others.
        op.execute(f"alter table {table} add column client varchar(64) references clients (code)")
        op.create_index(f"ix_{table}_client", table, ["client"])
    for name in ("latitude", "longitude", "altitude_m"):
        op.add_column("points", sa.Column(name, sa.Float))


def _owners() -> None:
    op.create_table(
        "owners",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("point", sa.String(64), sa.ForeignKey("points.code", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )


def _preferences() -> None:
    op.create_table(
        "notification_preferences",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("point", sa.String(64), sa.ForeignKey("points.code", ondelete="CASCADE"), index=True),
        sa.Column("types", sa.Text, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        sa.Column("quiet_from", sa.String(5)),
        sa.Column("quiet_to", sa.String(5)),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("daily_summary", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
