"""The tables that ingest alone writes. Made by the migrations; others read the views `polling_…`."""

import sqlalchemy as sa

from caudal.common.adapters.sql import UtcDateTime

metadata = sa.MetaData()

cursors = sa.Table(
    "ingest_cursors",
    metadata,
    sa.Column("point", sa.String(64), primary_key=True),
    sa.Column("variable", sa.String(64), primary_key=True),
    sa.Column("complete_until", UtcDateTime, nullable=False),
    sa.Column("moved_at", UtcDateTime, nullable=False),
)
histories = sa.Table(
    "ingest_histories",
    metadata,
    sa.Column("point", sa.String(64), primary_key=True),
    sa.Column("variable", sa.String(64), primary_key=True),
    sa.Column("complete_from", UtcDateTime, nullable=False),
)
handed = sa.Table(
    "ingest_handed",
    metadata,
    sa.Column("point", sa.String(64), primary_key=True),
    sa.Column("variable", sa.String(64), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("marks", sa.LargeBinary, nullable=False),
)
"""What was handed on lately: microseconds since 1970 to the mark of a value, as MessagePack."""
points = sa.Table(
    "ingest_points",
    metadata,
    sa.Column("point", sa.String(64), primary_key=True),
    sa.Column("provider", sa.String(64), nullable=False, index=True),
    sa.Column("asked_at", UtcDateTime),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("measured_until", UtcDateTime),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("error_at", UtcDateTime),
    sa.Column("is_behind", sa.Boolean, nullable=False),
    sa.Column("looked_back_at", UtcDateTime),
    sa.Column("moved_at", UtcDateTime),
)
providers = sa.Table(
    "ingest_providers",
    metadata,
    sa.Column("provider", sa.String(64), primary_key=True),
    sa.Column("connected_at", UtcDateTime),
    sa.Column("error", sa.Text),
    sa.Column("error_at", UtcDateTime),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("pauses", sa.Integer, nullable=False),
    sa.Column("open_until", UtcDateTime),
    sa.Column("connected_since", UtcDateTime),
    sa.Column("heard_at", UtcDateTime),
)
rounds = sa.Table(
    "ingest_rounds",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("holder", sa.String(255)),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
)
"""A row for each thing that one replica does at a time: who has it in hand, or had it last."""

# ---------------------------------------------------------------- a view that gateway-api's migrations publish

sealed_credentials = sa.table(
    "catalog_credentials",
    sa.column("owner_kind", sa.String),
    sa.column("owner", sa.String),
    sa.column("name", sa.String),
    sa.column("sealed", sa.Text),
)
