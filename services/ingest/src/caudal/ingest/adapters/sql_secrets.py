"""The sealed secrets of providers and points, read from gateway-api's view and unsealed here alone."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sealing import Sealer, place_of
from caudal.common.adapters.sql import reading
from caudal.ingest.adapters.patient_catalog import asking_again
from caudal.ingest.adapters.sql_tables import sealed_credentials

_all = sa.select(
    sealed_credentials.c.owner_kind, sealed_credentials.c.owner, sealed_credentials.c.name, sealed_credentials.c.sealed
)


class SealedVault:
    """Secrets that are unsealed when somebody asks for them."""

    def __init__(self, sealer: Sealer, sealed: dict[tuple[str, str], dict[str, str]]) -> None:
        self._sealer = sealer
        self._sealed = sealed

    def of(self, owner_kind: str, owner: str) -> dict[str, str]:
        """As `Vault`."""
        return {
            name: self._sealer.unseal(place_of(owner_kind, owner, name), sealed)
            for name, sealed in self._sealed.get((owner_kind, owner), {}).items()
        }

    def mark(self, owner_kind: str, owner: str) -> int:
        """As `Vault`."""
        return hash(frozenset(self._sealed.get((owner_kind, owner), {}).items()))


class SqlSecrets:
    """`Secrets` in the catalog's database."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer

    async def vault(self) -> SealedVault:
        """As `Secrets`."""
        sealed: dict[tuple[str, str], dict[str, str]] = {}
        with asking_again():
            async with reading(self._engine) as connection:
                rows = (await connection.execute(_all)).all()
        for owner_kind, owner, name, text in rows:
            sealed.setdefault((owner_kind, owner), {})[name] = text
        return SealedVault(self._sealer, sealed)
