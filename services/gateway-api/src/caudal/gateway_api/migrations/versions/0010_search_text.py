"""What a search looks into, in one column: a third of the work, and the same upper and lower case in every database."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

SEARCHED = {"points": ("code", "name", "device"), "variables": ("code", "name", "point")}
KEYS = {"points": ("code",), "variables": ("point", "code")}


def upgrade() -> None:
    """Add the columns and fill them."""
    for table, names in SEARCHED.items():
        op.add_column(table, sa.Column("search_text", sa.Text, nullable=False, server_default=""))
        _fill(sa.table(table, *(sa.column(name) for name in {*names, *KEYS[table], "search_text"})), names)


def _fill(table: sa.TableClause, names: tuple[str, ...]) -> None:
    connection, keys = op.get_bind(), KEYS[table.name]
    rows = connection.execute(sa.select(table)).mappings().all()
    texts = [
        {f"this_{key}": row[key] for key in keys} | {"text": "\n".join(row[name] for name in names).lower()}
        for row in rows
    ]
    this = sa.and_(*(table.c[key] == sa.bindparam(f"this_{key}") for key in keys))
    if texts:
        connection.execute(sa.update(table).where(this).values(search_text=sa.bindparam("text")), texts)
