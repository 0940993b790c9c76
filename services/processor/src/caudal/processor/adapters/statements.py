"""The statements of a hot path, built once for each kind of database: building them costs more than running them."""

from functools import cache

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from caudal.processor.adapters.tables import HEADS, OUTBOX, RAW, REJECTED, ROWS, WINDOW_ROWS

Insert = postgresql.Insert | sqlite.Insert


class Statements:
    """What one transaction on the ledger writes."""

    def __init__(self, dialect: str) -> None:
        self._insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
        self.add_raw: Executable = self._insert(RAW).on_conflict_do_nothing()
        self.add_rejected: Executable = self._insert(REJECTED).on_conflict_do_nothing()
        self.add_head: Executable = self._insert(HEADS).on_conflict_do_nothing()
        self.put_head: Executable = self._put(HEADS)
        self.put_row: Executable = self._put(ROWS)
        self.put_window_row: Executable = self._put_newer_window_row()
        self.enqueue: Executable = OUTBOX.insert().inline()

    def _put(self, table: Table) -> Executable:
        statement = self._insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=_all_but_key(table, statement)
        )

    def _put_newer_window_row(self) -> Executable:
        statement = self._insert(WINDOW_ROWS)
        new, old = statement.excluded, WINDOW_ROWS.c
        same_receipt = new.received_at == old.received_at
        return statement.on_conflict_do_update(
            index_elements=list(WINDOW_ROWS.primary_key),
            set_=_all_but_key(WINDOW_ROWS, statement),
            where=(new.received_at > old.received_at) | (same_receipt & (new.raw_id > old.raw_id)),
        )


def _all_but_key(table: Table, statement: Insert) -> dict[str, object]:
    return {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}


@cache
def statements(dialect: str) -> Statements:
    """Those of this kind of database."""
    return Statements(dialect)
