"""Runs the steps on the connection that `caudal.common.adapters.sql.migrate` hands over."""

from alembic import context

from caudal.common.adapters.sql import run_migrations

run_migrations(context)
