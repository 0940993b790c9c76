"""Alembic scripts of ingest's tables."""
