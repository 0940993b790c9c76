"""The tables of records as SQLAlchemy sees them; the migrations make them."""

from sqlalchemy import Column, Integer, MetaData, String, Table, Text

from caudal.common.adapters.sql import UtcDateTime

_metadata = MetaData()

PARTS = Table(
    "processor_record_parts",
    _metadata,
    Column("schema", String(64), primary_key=True),
    Column("point", String(64), primary_key=True),
    Column("starts_at", UtcDateTime, primary_key=True),
    Column("group_key", String(64)),
    Column("readings", Integer),
    Column("tallies_json", Text),
)
RECORDS = Table(
    "processor_records",
    _metadata,
    Column("schema", String(64), primary_key=True),
    Column("group_key", String(64), primary_key=True),
    Column("starts_at", UtcDateTime, primary_key=True),
    Column("point", String(64)),
    Column("client", String(64)),
    Column("values_json", Text),
    Column("flags_json", Text),
    Column("reasons_json", Text),
    Column("readings", Integer),
    Column("definition", String(32)),
    Column("computed_at", UtcDateTime),
)
"""One of `point` and `client` says whose a record is; neither: it is of all points that belong to no client."""
