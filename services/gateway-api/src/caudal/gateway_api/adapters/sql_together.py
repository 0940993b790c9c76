"""Many edits as one transaction: stores whose edits are all committed at the end, or none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.gateway_api.adapters.sql_catalog_store import SqlCatalogStore
from caudal.gateway_api.adapters.sql_records import SqlRecords
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.ports import CatalogEdit, CatalogStore, Records, RecordsEdit


class SqlTogether:
    """Opens transactions of many edits; what such a store is asked outside of an edit, it answers as it was before."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def catalog(self, scope: Scope) -> AsyncIterator[CatalogStore]:
        async with SqlCatalogStore(self._engine).edit(scope) as edit:
            yield _OneCatalogEdit(self._engine, edit)

    @asynccontextmanager
    async def records(self, scope: Scope) -> AsyncIterator[Records]:
        async with SqlRecords(self._engine).edit(scope) as edit:
            yield _OneRecordsEdit(self._engine, edit)


class _OneCatalogEdit(SqlCatalogStore):
    def __init__(self, engine: AsyncEngine, edit: CatalogEdit) -> None:
        super().__init__(engine)
        self._edit = edit

    @asynccontextmanager
    async def edit(self, scope: Scope) -> AsyncIterator[CatalogEdit]:
        yield self._edit


class _OneRecordsEdit(SqlRecords):
    def __init__(self, engine: AsyncEngine, edit: RecordsEdit) -> None:
        super().__init__(engine)
        self._edit = edit

    @asynccontextmanager
    async def edit(self, scope: Scope) -> AsyncIterator[RecordsEdit]:
        yield self._edit
