"""The tables that gateway-api alone writes, as its migrations make them."""

import sqlalchemy as sa

from caudal.common.adapters.sql import UtcDateTime

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A key that counts up."""

metadata = sa.MetaData()

clients = sa.Table(
    "clients",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

roles = sa.Table(
    "roles",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("permissions", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
"""`permissions` is a JSON list of words."""

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("email", sa.String(254), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("role", sa.String(64), sa.ForeignKey("roles.code", name="users_role_fkey"), nullable=False, index=True),
    sa.Column("client", sa.String(64), sa.ForeignKey("clients.code", name="users_client_fkey"), index=True),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
"""Without a client: staff."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("address", sa.String(64)),
    sa.Column("agent", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("ended_because", sa.String(32)),
)
"""Logins: a session is a family of refresh tokens, of which only the last one works."""

refresh_tokens = sa.Table(
    "refresh_tokens",
    metadata,
    sa.Column("session", sa.String(64), sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("issued_at", UtcDateTime, nullable=False),
)
"""A token is used up when the next generation is there; the key lets only one be the next."""

password_resets = sa.Table(
    "password_resets",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("address", sa.String(64)),
    sa.Column("digest", sa.String(64), unique=True),
    sa.Column("issued_by", sa.String(254)),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
    sa.Column("used_at", UtcDateTime),
)
"""Who has forgotten a password; `digest` is there once somebody issued a token for it."""

login_attempts = sa.Table(
    "gateway_login_attempts",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(64), nullable=False, index=True),
    sa.Column("address", sa.String(64), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)
"""Logins that failed, or that are under way; account and address as digests."""

request_counts = sa.Table(
    "gateway_request_counts",
    metadata,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("hits", sa.BigInteger, nullable=False),
    sa.Column("ends_at", UtcDateTime, nullable=False),
)
"""How often an address or a caller asked in a window of time, all replicas together; `key` is a digest of both."""

providers = sa.Table(
    "providers",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("client", sa.String(64), sa.ForeignKey("clients.code", name="providers_client_fkey"), index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("mapping", sa.Text, nullable=False),
    sa.Column("time_zone", sa.String(64), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("api", sa.String(32)),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("authentication", sa.Text, nullable=False),
    sa.Column("testing", sa.Boolean, nullable=False),
)
"""`connection`, `authentication` and `mapping` are JSON text."""

credentials = sa.Table(
    "gateway_credentials",
    metadata,
    sa.Column("owner_kind", sa.String(16), primary_key=True),
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
"""Secrets of providers and points, each sealed by itself, so that its name and age can be told without its key."""

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("provider", sa.String(64), sa.ForeignKey("providers.code", ondelete="CASCADE"), index=True),
    sa.Column("device", sa.String(64), index=True),
    sa.Column("client", sa.String(64), sa.ForeignKey("clients.code", name="api_keys_client_fkey"), index=True),
    sa.Column("permissions", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("prefix", sa.String(32), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("created_by", sa.String(254), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
)
"""`permissions` is a JSON list of words."""

points = sa.Table(
    "points",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("device", sa.String(64), nullable=False, unique=True),
    sa.Column("client", sa.String(64), sa.ForeignKey("clients.code", name="points_client_fkey"), index=True),
    sa.Column("provider", sa.String(64), sa.ForeignKey("providers.code"), index=True),
    sa.Column("type", sa.String(16), nullable=False, index=True),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("search_text", sa.Text, nullable=False, server_default=""),
    sa.Column("latitude", sa.Float),
    sa.Column("longitude", sa.Float),
    sa.Column("altitude_m", sa.Float),
    sa.Column("time_zone", sa.String(64), nullable=False),
    sa.Column("sampling_minutes", sa.Float, nullable=False),
    sa.Column("mapping", sa.Text),
    sa.Column("max_rows", sa.Integer),
    sa.Column("rules", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("source", sa.Text),
)
"""`mapping`, `rules` and `source` are JSON text."""

variables = sa.Table(
    "variables",
    metadata,
    sa.Column("point", sa.String(64), sa.ForeignKey("points.code", ondelete="CASCADE"), primary_key=True),
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("type", sa.String(16), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("search_text", sa.Text, nullable=False, server_default=""),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False, server_default="1970-01-01T00:00:00.000000Z"),
    sa.Column("updated_at", UtcDateTime, nullable=False, server_default="1970-01-01T00:00:00.000000Z"),
)
"""`body` is the whole variable as JSON text; what lists ask for stands beside it."""

point_versions = sa.Table(
    "point_versions",
    metadata,
    sa.Column("point", sa.String(64), sa.ForeignKey("points.code", ondelete="CASCADE"), primary_key=True),
    sa.Column("valid_until", UtcDateTime, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
"""What readings were judged by until then; `body` is the whole version as JSON text. The present one is the point."""

owners = sa.Table(
    "owners",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(64), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("point", sa.String(64), sa.ForeignKey("points.code", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("permissions", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
"""`permissions` is a JSON list of words; the id is made of user, point and kind, so that there is one of each."""

notification_preferences = sa.Table(
    "notification_preferences",
    metadata,
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
"""`types` and `channels` are JSON lists; the id is made of user and point."""

schemas = sa.Table(
    "schemas",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("client", sa.String(64), sa.ForeignKey("clients.code", name="schemas_client_fkey"), index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("period", sa.String(16), nullable=False),
    sa.Column("time_zone", sa.String(64), nullable=False),
    sa.Column("group_by", sa.String(16), nullable=False),
    sa.Column("points", sa.Text, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("rules", sa.Text, nullable=False),
    sa.Column("display", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
"""`points`, `fields`, `rules` and `display` are JSON text."""

audit_log = sa.Table(
    "audit_log",
    metadata,
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
"""Who did what, JSON text before and after, each line chained to the one before; triggers refuse any change to it."""

outbox = sa.Table(
    "gateway_outbox",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("retain", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

repeats = sa.Table(
    "gateway_repeats",
    metadata,
    sa.Column("owner", sa.String(80), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("claimed_at", UtcDateTime, nullable=False, index=True),
    sa.Column("answer", sa.Text),
)
"""Idempotency-Keys of the last day, and what was answered."""

commands = sa.Table(
    "gateway_commands",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("target", sa.String(64), nullable=False),
    sa.Column("ordered_by", sa.String(254), nullable=False),
    sa.Column("ordered_at", UtcDateTime, nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("file", sa.Text),
    sa.Column("client", sa.String(64)),
)

uploads = sa.Table(
    "gateway_uploads",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("format", sa.String(16), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("uploaded_by", sa.String(254), nullable=False, index=True),
    sa.Column("uploaded_at", UtcDateTime, nullable=False),
)
