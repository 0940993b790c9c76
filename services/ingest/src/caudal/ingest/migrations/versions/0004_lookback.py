"""What was handed on lately, from when on each history is there, and when points were asked for what came late.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

from caudal.common.adapters.sql import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables; of a variable that was asked for before nobody knows more than its cursor."""
    op.create_table(
        "ingest_histories",
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("variable", sa.String(64), primary_key=True),
        sa.Column("complete_from", UtcDateTime, nullable=False),
    )
    op.execute(
        "insert into ingest_histories (point, variable, complete_from)"
        " select point, variable, complete_until from ingest_cursors"
    )
    op.create_table(
        "ingest_handed",
        sa.Column("point", sa.String(64), primary_key=True),
        sa.Column("variable", sa.String(64), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("marks", sa.LargeBinary, nullable=False),
    )
    op.add_column("ingest_points", sa.Column("looked_back_at", UtcDateTime))
    op.execute("drop view polling_points")
    op.execute(
        "create view polling_points as select p.point, p.provider, p.asked_at, p.answered_at, p.measured_until,"
        " p.failures, p.error, p.error_at, p.is_behind, (select min(c.complete_until) from ingest_cursors c"
        " where c.point = p.point) as complete_until, (select max(h.complete_from) from ingest_histories h"
        " where h.point = p.point) as complete_from from ingest_points p"
    )
