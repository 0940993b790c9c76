"""The remembered catalog asks once, forgets on word, and never keeps what was already old."""

import asyncio

from caudal.common.adapters.sql_catalog import CachedCatalog
from caudal.common.domain.catalog import Point, Provider
from caudal.common.testing.memory_catalog import MemoryCatalog

WELL = Point(code="well-1", device="meter-1")


class CountingCatalog(MemoryCatalog):
    """Counts what it is asked; `gate` holds an answer back after it was read."""

    asked = 0
    gate: asyncio.Event | None = None

    async def point_of(self, device: str) -> Point | None:
        self.asked += 1
        point = await super().point_of(device)
        if self.gate:
            await self.gate.wait()
        return point

    async def provider(self, code: str) -> Provider | None:
        self.asked += 1
        return await super().provider(code)


async def test_device_is_asked_for_once_until_it_is_forgotten() -> None:
    inner = CountingCatalog([WELL])
    catalog = CachedCatalog(inner)
    assert await catalog.point_of("meter-1") == WELL
    inner.put(Point(code="well-1", device="meter-1", name="renamed"))
    assert await catalog.point_of("meter-1") == WELL
    assert inner.asked == 1
    catalog.forget("meter-1")
    assert (await catalog.point_of("meter-1") or WELL).name == "renamed"


async def test_unclaimed_device_is_remembered_as_such_until_a_point_claims_it() -> None:
    inner = CountingCatalog()
    catalog = CachedCatalog(inner)
    assert await catalog.point_of("meter-1") is None
    assert await catalog.point_of("meter-1") is None
    assert inner.asked == 1
    inner.put(WELL)
    catalog.forget("meter-1")
    assert await catalog.point_of("meter-1") == WELL


async def test_point_by_code_is_forgotten_with_its_device_and_absent_ones_with_any() -> None:
    inner = MemoryCatalog([WELL])
    catalog = CachedCatalog(inner)
    assert await catalog.point("well-1") == WELL
    assert await catalog.point("well-2") is None
    moved = Point(code="well-1", device="meter-2")
    inner.put(moved, Point(code="well-2", device="meter-1"))
    catalog.forget("meter-1")
    assert await catalog.point("well-1") == moved
    assert await catalog.point("well-2") is not None


async def test_answer_older_than_the_change_is_not_kept() -> None:
    inner = CountingCatalog([WELL])
    inner.gate = asyncio.Event()
    catalog = CachedCatalog(inner)
    under_way = asyncio.create_task(catalog.point_of("meter-1"))
    while not inner.asked:
        await asyncio.sleep(0)
    inner.put(Point(code="well-1", device="meter-1", name="renamed"))
    catalog.forget("meter-1")
    inner.gate.set()
    assert await under_way == WELL
    assert (await catalog.point_of("meter-1") or WELL).name == "renamed"


async def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    inner = CountingCatalog([Point(code=f"p{n}", device=f"d{n}") for n in range(4)])
    catalog = CachedCatalog(inner, max_entries=2)
    for device in ("d0", "d1", "d0", "d2", "d0"):
        await catalog.point_of(device)
    assert inner.asked == 3
    await catalog.point_of("d1")
    assert inner.asked == 4


async def test_provider_is_asked_for_again_after_its_age() -> None:
    now = [0.0]
    inner = CountingCatalog(providers=[Provider(code="twin")])
    catalog = CachedCatalog(inner, provider_age_s=5.0, monotonic=lambda: now[0])
    await catalog.provider("twin")
    inner.put(Provider(code="twin", active=False))
    now[0] = 4.9
    assert (await catalog.provider("twin") or Provider(code="x")).active
    now[0] = 5.0
    assert not (await catalog.provider("twin") or Provider(code="x")).active
