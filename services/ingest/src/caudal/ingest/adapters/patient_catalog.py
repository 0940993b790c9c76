"""A catalog whose failures are nobody's payload's fault."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from caudal.common.domain.catalog import Point, Provider
from caudal.common.domain.errors import Transient
from caudal.common.ports import Catalog
from caudal.ingest.ports import Fleet


class PatientCatalog:
    """Another catalog; whatever the database says against our questions is a reason to ask again.

    They never depend on what a device sent. Before gateway-api has made its tables, for one, every question fails, and
    readings that come meanwhile must wait and not be taken for poison.
    """

    def __init__(self, inner: Catalog) -> None:
        self._inner = inner

    async def point_of(self, device: str) -> Point | None:
        """As the other catalog."""
        with asking_again():
            return await self._inner.point_of(device)

    async def point(self, code: str) -> Point | None:
        """As the other catalog."""
        with asking_again():
            return await self._inner.point(code)

    async def provider(self, code: str) -> Provider | None:
        """As the other catalog."""
        with asking_again():
            return await self._inner.provider(code)


class PatientFleet:
    """Another fleet; as `PatientCatalog`."""

    def __init__(self, inner: Fleet) -> None:
        self._inner = inner

    async def providers(self) -> Sequence[Provider]:
        """As the other fleet."""
        with asking_again():
            return await self._inner.providers()

    async def sourced(self) -> Sequence[Point]:
        """As the other fleet."""
        with asking_again():
            return await self._inner.sourced()

    async def codes(self) -> Sequence[str]:
        """As the other fleet."""
        with asking_again():
            return await self._inner.codes()


@contextmanager
def asking_again() -> Iterator[None]:
    """Whatever the database says against a question becomes `Transient`."""
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error)[:200]
        raise Transient(f"the database refuses (are all tables there?): {reason}", 2.0) from error
