"""Clients, roles as rows, sessions, password resets, wider API keys, and the audit log, which takes the journal in."""

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime
from caudal.gateway_api.domain.audit import FIRST, hash_of

revision = "0005"
down_revision = "0004"

READS = ["points:read", "providers:read", "schemas:read", "telemetry:read"]
OF_A_CLIENT = [
    *READS,
    "audit:read",
    "clients:read",
    "imports:write",
    "keys:read",
    "keys:write",
    "points:write",
    "roles:read",
    "schemas:write",
    "telemetry:push",
    "telemetry:write",
    "users:read",
    "users:write",
]
OF_OPERATORS = [*OF_A_CLIENT, "clients:write", "providers:write", "windows:run"]
ROLES = {
    "admin": ("Administrator", [*OF_OPERATORS, "roles:write"]),
    "operator": ("Operator", OF_OPERATORS),
    "client_admin": ("Administrator of a client", OF_A_CLIENT),
    "client_user": ("User of a client", READS),
    "reader": ("Reader", READS),
}
AUDIT_REFUSES = {
    "sqlite": [
        "create trigger audit_log_no_update before update on audit_log"
        " begin select raise(abort, 'the audit log is append only'); end",
        "create trigger audit_log_no_delete before delete on audit_log"
        " begin select raise(abort, 'the audit log is append only'); end",
    ],
    "postgresql": [
        "create function audit_log_refuse() returns trigger language plpgsql as"
        " $$ begin raise exception 'the audit log is append only'; end $$",
        "create trigger audit_log_append_only before update or delete or truncate on audit_log"
        " for each statement execute function audit_log_refuse()",
    ],
}


def upgrade() -> None:
    """Make the tables and let the audit log go on where the journal ends."""
    _clients_and_roles()
    _users()
    _sessions()
    _api_keys()
    _audit_log()
    _take_journal_in()
    for statement in AUDIT_REFUSES[op.get_bind().dialect.name]:
        op.execute(statement)


def _clients_and_roles() -> None:
    op.create_table(
        "clients",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    roles = op.create_table(
        "roles",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    now = datetime.now(UTC)
    op.bulk_insert(
        roles,
        [
            {"code": code, "name": name, "permissions": json.dumps(sorted(words)), "updated_at": now}
            for code, (name, words) in ROLES.items()
        ],
    )


def _users() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("name", sa.String(200), nullable=False, server_default=""))
        users.add_column(sa.Column("client", sa.String(64)))
        users.add_column(sa.Column("updated_at", UtcDateTime))
        users.alter_column("role", existing_type=sa.String(32), type_=sa.String(64), existing_nullable=False)
        users.create_foreign_key("users_role_fkey", "roles", ["role"], ["code"])
        users.create_foreign_key("users_client_fkey", "clients", ["client"], ["code"])
    op.execute("update users set updated_at = created_at")
    with op.batch_alter_table("users") as users:
        users.alter_column("name", existing_type=sa.String(200), server_default=None)
        users.alter_column("updated_at", existing_type=UtcDateTime, nullable=False)
        users.create_index("ix_users_role", ["role"])
        users.create_index("ix_users_client", ["client"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("address", sa.String(64)),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("ended_because", sa.String(32)),
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("session", sa.String(64), sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("issued_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "password_resets",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("requested_at", UtcDateTime, nullable=False),
        sa.Column("address", sa.String(64)),
        sa.Column("digest", sa.String(64), unique=True),
        sa.Column("issued_by", sa.String(254)),
        sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
        sa.Column("used_at", UtcDateTime),
    )


def _api_keys() -> None:
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("provider", existing_type=sa.String(64), nullable=True)
        keys.add_column(sa.Column("device", sa.String(64)))
        keys.add_column(sa.Column("client", sa.String(64)))
        keys.add_column(sa.Column("permissions", sa.Text, nullable=False, server_default='["telemetry:push"]'))
        keys.add_column(sa.Column("created_by", sa.String(254), nullable=False, server_default=""))
        keys.add_column(sa.Column("expires_at", UtcDateTime))
        keys.add_column(sa.Column("last_used_at", UtcDateTime))
        keys.create_foreign_key("api_keys_client_fkey", "clients", ["client"], ["code"])
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("permissions", existing_type=sa.Text, server_default=None)
        keys.alter_column("created_by", existing_type=sa.String(254), server_default=None)
        keys.create_index("ix_api_keys_device", ["device"])
        keys.create_index("ix_api_keys_client", ["client"])


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False, index=True),
        sa.Column("who", sa.String(254), nullable=False, index=True),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.String(254), nullable=False),
        sa.Column("client", sa.String(64), index=True),
        sa.Column("point", sa.String(64), index=True),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("address", sa.String(64)),
        sa.Column("request", sa.String(64)),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Index("ix_audit_log_kind_key", "kind", "key"),
    )


def _take_journal_in() -> None:
    """Chain the journal's lines, in their order, and drop it: two logs would be two truths."""
    names = ("at", "who", "action", "kind", "point", "key", "before", "after")
    kinds = {"at": UtcDateTime()}
    journal = sa.table("catalog_journal", sa.column("id"), *(sa.column(name, kinds.get(name)) for name in names))
    new = (*names, "number", "client", "address", "request", "previous", "hash")
    log = sa.table("audit_log", *(sa.column(name, kinds.get(name)) for name in new))
    connection, previous = op.get_bind(), FIRST
    lines = connection.execute(sa.select(journal).order_by(journal.c.id)).mappings().all()
    for number, row in enumerate(lines, 1):
        line = {name: row[name] for name in names}
        line |= {"number": number, "client": None, "address": None, "request": None, "previous": previous}
        previous = hash_of(line)
        connection.execute(sa.insert(log).values(**line, hash=previous))
    op.drop_table("catalog_journal")
    if connection.dialect.name == "postgresql":
        op.execute("drop function catalog_journal_refuse()")
