"""Users, providers and their keys, the catalog with its journal and views, and what the door keeps for itself."""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

VIEWS = {
    "catalog_points": "select code, device, provider, type, status, name, time_zone, sampling_minutes, mapping,"
    " max_rows, rules from points",
    "catalog_variables": "select point, code, position, body from variables",
    "catalog_providers": "select code, name, mapping, time_zone, active from providers",
}
JOURNAL_REFUSES = {
    "sqlite": [
        "create trigger catalog_journal_no_update before update on catalog_journal"
        " begin select raise(abort, 'the journal is append only'); end",
        "create trigger catalog_journal_no_delete before delete on catalog_journal"
        " begin select raise(abort, 'the journal is append only'); end",
    ],
    "postgresql": [
        "create function catalog_journal_refuse() returns trigger language plpgsql as"
        " $$ begin raise exception 'the journal is append only'; end $$",
        "create trigger catalog_journal_append_only before update or delete or truncate on catalog_journal"
        " for each statement execute function catalog_journal_refuse()",
    ],
}


def upgrade() -> None:
    """Make the tables, the views, and the triggers that keep the journal as it is."""
    _identity()
    _catalog()
    _journal()
    _door()
    for name, query in VIEWS.items():
        op.execute(f"create view {name} as {query}")


def _identity() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "gateway_login_attempts",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("account", sa.String(64), nullable=False, index=True),
        sa.Column("address", sa.String(64), nullable=False, index=True),
        sa.Column("at", UtcDateTime, nullable=False, index=True),
    )


def _catalog() -> None:
    op.create_table(
        "providers",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column(
            "provider", sa.String(64), sa.ForeignKey("providers.code", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime),
    )
    op.create_table(
        "points",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("device", sa.String(64), nullable=False, unique=True),
        sa.Column("provider", sa.String(64), sa.ForeignKey("providers.code"), index=True),
        sa.Column("type", sa.String(16), nullable=False, index=True),
        sa.Column("status", sa.String(16), nullable=False, index=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("sampling_minutes", sa.Float, nullable=False),
        sa.Column("mapping", sa.Text),
        sa.Column("max_rows", sa.Integer),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "variables",
        sa.Column("point", sa.String(64), sa.ForeignKey("points.code", ondelete="CASCADE"), primary_key=True),
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("type", sa.String(16), nullable=False, index=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )


def _journal() -> None:
    op.create_table(
        "catalog_journal",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("who", sa.String(254), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("point", sa.String(64), index=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
    )
    for statement in JOURNAL_REFUSES[op.get_bind().dialect.name]:
        op.execute(statement)


def _door() -> None:
    op.create_table(
        "gateway_outbox",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("retain", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "gateway_pushes",
        sa.Column("provider", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("claimed_at", UtcDateTime, nullable=False, index=True),
    )
    op.create_table(
        "gateway_commands",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("ordered_by", sa.String(254), nullable=False),
        sa.Column("ordered_at", UtcDateTime, nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("finished_at", UtcDateTime),
    )
    op.create_table(
        "gateway_uploads",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("uploaded_by", sa.String(254), nullable=False, index=True),
        sa.Column("uploaded_at", UtcDateTime, nullable=False),
    )
