"""Run by Alembic; the connection and the version table come from `caudal.common.adapters.sql.migrate`."""

from alembic import context

from caudal.common.adapters.sql import run_migrations

run_migrations(context)
