"""Imports: the file, what is there already, and many changes as one."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from caudal.common.domain.import_maps import ImportMap
from caudal.gateway_api.domain.import_rows import Sheet
from caudal.gateway_api.domain.imports import Ground
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.ports.catalog import CatalogStore
from caudal.gateway_api.ports.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """What the rows of a file speak of."""

    points: Sequence[str] = ()
    devices: Sequence[str] = ()
    users: Sequence[str] = ()
    """Addresses, or ids."""


class Sheets(Protocol):
    """Tables in files."""

    async def read(self, path: Path, said: ImportMap) -> Sheet:
        """The whole table in a CSV, Parquet or JSON file.

        Raises:
            InvalidInput: it is none, or larger than an import may be; the error says why.
        """
        ...


class Grounds(Protocol):
    """What is there already."""

    async def around(self, scope: Scope, subjects: Subjects) -> Ground:
        """What is there of what a file speaks of."""
        ...


class Together(Protocol):
    """Many changes as one transaction."""

    def catalog(self, scope: Scope) -> AbstractAsyncContextManager[CatalogStore]:
        """The catalog, whose edits are all committed at the end, or none."""
        ...

    def records(self, scope: Scope) -> AbstractAsyncContextManager[Records]:
        """Records, whose edits are all committed at the end, or none."""
        ...
