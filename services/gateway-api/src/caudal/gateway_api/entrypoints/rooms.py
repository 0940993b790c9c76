"""What is done to whatever is one row each; who may do it stands in each route's signature."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from fastapi import Response

from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.records import Kind
from caudal.gateway_api.domain.versions import Expected
from caudal.gateway_api.entrypoints.answers import shown
from caudal.gateway_api.entrypoints.door import Door
from caudal.gateway_api.entrypoints.lists import Asked, listed
from caudal.gateway_api.entrypoints.once import Creation
from caudal.gateway_api.entrypoints.schemas.common import Body
from caudal.gateway_api.entrypoints.schemas.tenancy import Patch
from caudal.gateway_api.handlers import records
from caudal.gateway_api.handlers.records import Rule

T = TypeVar("T")


async def _nobody(_door: Door) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Room(Generic[T]):
    """One kind of record, and what holds for it."""

    kind: Kind[T]
    whole: type[Body]
    """What a changed record is judged as: a new one."""
    rule: Callable[[Door], Rule[T]]
    told: Callable[[Door], Awaitable[None]] = _nobody
    """What follows every change."""

    async def listed(self, door: Door, caller: Caller, asked: Asked) -> Response:
        """A page, or the whole as a file."""
        return await listed(asked, partial(door.records.records.page, self.kind, caller.scope))

    async def added(self, door: Door, caller: Caller, creating: Creation, made: Callable[[], T]) -> Response:
        """What `made` makes, kept once."""

        async def make() -> Response:
            added = await records.create(door.records, caller, self.kind, made(), self.rule(door))
            await self.told(door)
            return shown(added, 201)

        return await creating(make)

    async def one(self, door: Door, caller: Caller, key: str) -> Response:
        """The record of this key."""
        return shown(await records.one(door.records, caller, self.kind, key))

    async def changed(self, door: Door, caller: Caller, key: str, expected: Expected, patch: Patch) -> Response:
        """The record after a change."""
        change: Any = partial(patch.applied, whole=self.whole, now=door.records.clock.now())
        after = await records.change(door.records, caller, self.kind, key, change, self.rule(door), expected)
        await self.told(door)
        return shown(after)

    async def removed(self, door: Door, caller: Caller, key: str, expected: Expected) -> Response:
        """Nothing, of what is there no longer."""
        await records.delete(door.records, caller, self.kind, key, self.rule(door), expected)
        await self.told(door)
        return Response(status_code=204)
