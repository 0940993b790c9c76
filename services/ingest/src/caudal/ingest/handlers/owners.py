"""Whose the rows of a table are."""

import msgspec

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import InvalidInput, Permanent
from caudal.common.domain.ids import id_from_name
from caudal.common.domain.payloads.refusals import Refusal, Unreadable
from caudal.common.domain.payloads.zones import Zones, zones_of
from caudal.common.ports import Catalog
from caudal.ingest.domain.options import Options

MAX_NAMES = 100_000
"""Names of devices in memory."""


class Owner(msgspec.Struct, frozen=True):
    """Whose row it is, and in which zones its naive times are."""

    device: str
    zones: Zones = Zones(("UTC",))
    """Where no point says otherwise it is UTC, as for a point that says nothing."""
    point: str | None = None
    """None: no point claims the device."""
    variables: frozenset[str] = frozenset()
    """Codes of what the point measures."""


class Owners:
    """Devices behind the names in a table, asked of the catalog once.

    Args:
        catalog: Whose devices they are.
        client: Nobody but this client's points is found; None: every device is, claimed or not.
    """

    def __init__(self, catalog: Catalog, client: str | None = None) -> None:
        self._catalog = catalog
        self._client = client
        self._known: dict[tuple[str, bool], Owner | None] = {}

    async def given(self, options: Options) -> Owner | None:
        """The owner of all rows, if the options name one.

        Raises:
            InvalidInput: there is no such point.
        """
        name = options.point if options.point is not None else options.device
        if name is None:
            return None
        try:
            return await self.of(name, options.point is not None)
        except Unreadable as error:
            raise InvalidInput("point" if options.point is not None else "device", error.reason) from error

    async def of(self, name: str, is_point: bool) -> Owner:
        """The owner of this name.

        Raises:
            Unreadable: there is no such point, or no point of the client has such a device.
        """
        if (name, is_point) not in self._known:
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            self._known[name, is_point] = await self._asked(name, is_point)
        owner = self._known[name, is_point]
        if owner is None:
            what = "point" if is_point else "point with the device"
            raise Unreadable(Refusal.DEVICE, "point", f"there is no {what} {name[:80]!r}")
        return owner

    async def _asked(self, name: str, is_point: bool) -> Owner | None:
        try:
            device = None if is_point else id_from_name(name)
            found = self._catalog.point(name) if device is None else self._catalog.point_of(device)
            point: Point | None = await found
        except Permanent as error:
            raise InvalidInput("point", str(error)) from error
        if point is not None and self._client in (None, point.client):
            codes = frozenset(variable.code for variable in point.variables)
            return Owner(point.device, zones_of(point), point.code, codes)
        return Owner(device) if device is not None and self._client is None else None
