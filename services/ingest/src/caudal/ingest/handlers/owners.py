"""Whose the rows of a table are."""

import msgspec

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import InvalidInput, Permanent
from caudal.common.domain.ids import id_from_name
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.ports import Catalog
from caudal.ingest.domain.options import Options

MAX_NAMES = 100_000
"""Names of devices in memory."""


class Owner(msgspec.Struct, frozen=True):
    """Whose row it is, and in which zone its naive times are."""

    device: str
    zone: str = "UTC"
    """Where no point says otherwise it is UTC, as for a point that says nothing."""


class Owners:
    """Devices behind the names in a table, asked of the catalog once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, bool], Owner | None] = {}

    async def given(self, options: Options) -> Owner | None:
        """The owner of all rows, if the options name one.

        Raises:
            InvalidInput: there is no such point.
        """
        if options.point is not None:
            point = await self._catalog.point(options.point)
            if point is None:
                raise InvalidInput("point", f"there is no point {options.point[:80]!r}")
            return Owner(point.device, point.time_zone)
        return await self.of(options.device, False) if options.device is not None else None

    async def of(self, name: str, is_point: bool) -> Owner:
        """The owner of this name.

        Raises:
            Unreadable: there is no such point.
        """
        if (name, is_point) not in self._known:
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            self._known[name, is_point] = await self._asked(name, is_point)
        owner = self._known[name, is_point]
        if owner is None:
            raise Unreadable(Refusal.DEVICE, "point", f"there is no point {name[:80]!r}")
        return owner

    async def _asked(self, name: str, is_point: bool) -> Owner | None:
        try:
            if is_point:
                point: Point | None = await self._catalog.point(name)
                return Owner(point.device, point.time_zone) if point else None
            device = id_from_name(name)
            point = await self._catalog.point_of(device)
        except Permanent as error:
            raise InvalidInput("point", str(error)) from error
        return Owner(device, point.time_zone) if point else Owner(device)
