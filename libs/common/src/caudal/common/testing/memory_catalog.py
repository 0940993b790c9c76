"""A catalog that tests write by hand."""

from collections.abc import Iterable

from caudal.common.domain.catalog import Point, Provider


class MemoryCatalog:
    """Points and providers in memory; `put` and `remove` take the place of gateway-api."""

    def __init__(self, points: Iterable[Point] = (), providers: Iterable[Provider] = ()) -> None:
        self.points = {point.code: point for point in points}
        self.providers = {provider.code: provider for provider in providers}

    def put(self, *entries: Point | Provider) -> None:
        """Add entries, or put them in the place of those of the same code."""
        for entry in entries:
            if isinstance(entry, Point):
                self.points[entry.code] = entry
            else:
                self.providers[entry.code] = entry

    def remove(self, code: str) -> None:
        """Forget the point of this code."""
        del self.points[code]

    async def point_of(self, device: str) -> Point | None:
        return next((point for point in self.points.values() if point.device == device), None)

    async def point(self, code: str) -> Point | None:
        return self.points.get(code)

    async def provider(self, code: str) -> Provider | None:
        return self.providers.get(code)
