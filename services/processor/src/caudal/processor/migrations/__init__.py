"""Alembic scripts of the processor's tables."""
