"""Points, variables and providers, and what is told about them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from caudal.common.domain.catalog import Point, Provider, Variable
from caudal.common.ports import Outgoing
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import Scope
from caudal.gateway_api.domain.silence import Standing
from caudal.gateway_api.domain.tenancy import Tie
from caudal.gateway_api.domain.versions import Kept
from caudal.gateway_api.ports.identity import Audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the audit log, as it is shown beside the point that it is about."""

    at: datetime
    who: str
    action: str
    """create, change, delete, meter_swap or meter_swap_removed."""
    kind: str
    """point, variable, version or provider."""
    point: str | None
    """The point that it is about, if it is about one."""
    key: str
    """Code of what changed."""
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class CatalogEdit(Protocol):
    """One transaction on the catalog: what is changed, recorded and told is committed together."""

    @property
    def audit(self) -> Audit:
        """Where what is done is written down."""
        ...

    async def point(self, code: str) -> Point:
        """The point with its earlier versions, held against other editors.

        Raises:
            NotFound: there is none.
        """
        ...

    async def provider(self, code: str) -> Provider:
        """The provider, held against other editors.

        Raises:
            NotFound: there is none.
        """
        ...

    async def add_point(self, point: Point, at: datetime) -> None:
        """Add a point with its variables.

        Raises:
            Conflict: its code or its device is taken.
            InvalidInput: there is no such client, or no such provider for it.
        """
        ...

    async def put_point(self, point: Point, at: datetime) -> None:
        """Put a point, with exactly these variables and versions, in the place of the one of its code.

        Raises as `add_point`.
        """
        ...

    async def forget_foreign(self, point: str, client: str | None) -> Sequence[Tie]:
        """Remove owners and notifications of users of other clients than `client`; staff's stay. What was removed."""
        ...

    async def remove_point(self, code: str) -> Sequence[Tie]:
        """Remove a point and its variables; its readings stay. The owners and notifications that went with it."""
        ...

    async def add_provider(self, provider: Provider, at: datetime) -> None:
        """Add a provider.

        Raises:
            Conflict: its code is taken.
        """
        ...

    async def put_provider(self, provider: Provider, at: datetime) -> None:
        """Put a provider in the place of the one of its code."""
        ...

    async def remove_provider(self, code: str) -> None:
        """Remove a provider and its keys.

        Raises:
            Conflict: points belong to it.
        """
        ...

    async def put_credentials(
        self, owner_kind: str, owner: str, sealed: Mapping[str, str | None], at: datetime
    ) -> None:
        """Keep sealed secrets of a provider or a point by name; None forgets one."""
        ...

    async def devices_of(self, provider: str) -> list[tuple[str, str]]:
        """Code and device of each point of a provider."""
        ...

    async def is_reserved(self, device: str, client: str, point: str) -> bool:
        """Whether a device is not for `client` to take for its `point`: somebody else has a key of it, or it was heard
        of without being that point, and the client has no key of it."""
        ...

    async def tell(self, message: Outgoing, at: datetime) -> None:
        """Have `message` published once the transaction is committed, whatever crashes in between."""
        ...


class CatalogStore(Protocol):
    """Points, variables and providers, as their only writer keeps them."""

    def edit(self, scope: Scope) -> AbstractAsyncContextManager[CatalogEdit]:
        """A transaction on what is within the scope; it commits at the end and rolls back on any error."""
        ...

    async def point(self, code: str, scope: Scope) -> Point | None:
        """The point of this code, with its variables, as it is now."""
        ...

    async def standing(self, code: str, scope: Scope) -> Standing | None:
        """The point of this code as it is now, and what is silent there."""
        ...

    async def history(self, code: str, scope: Scope) -> Point | None:
        """The point of this code, with its variables and its earlier versions."""
        ...

    async def is_measured(self, point: str) -> bool:
        """Whether the ledger has a reading of this point."""
        ...

    async def readings_between(self, point: str, start: datetime | None, end: datetime | None) -> int:
        """How many instants of a point have values, from `start` (None: ever) on and before `end` (None: till now)."""
        ...

    async def provider(self, code: str, scope: Scope) -> Provider | None:
        """The provider of this code."""
        ...

    async def takes_pushes(self, provider: str) -> bool:
        """Whether there is such a provider, and neither it nor its client is switched off."""
        ...

    async def client_of_device(self, device: str) -> tuple[str | None] | None:
        """The client of the point that claims a device; None: none does."""
        ...

    async def points(self, scope: Scope, listing: Listing) -> Page[Standing]:
        """A page of points, with their variables; those that have fallen silent are OFFLINE."""
        ...

    async def variable(self, point: str, code: str, scope: Scope) -> Kept[Variable] | None:
        """A point's variable of this code."""
        ...

    async def variables(self, scope: Scope, listing: Listing) -> Page[tuple[str, Kept[Variable]]]:
        """A page of variables, each with the code of its point."""
        ...

    async def kept_provider(self, code: str, scope: Scope) -> Kept[Provider] | None:
        """The provider of this code, and since when it is so."""
        ...

    async def providers(self, scope: Scope, listing: Listing) -> Page[Kept[Provider]]:
        """A page of providers."""
        ...

    async def devices_of(self, point: str) -> list[str]:
        """Every device that the point has had, oldest first, the present one last."""
        ...

    async def changes(self, point: str, scope: Scope, listing: Listing) -> Page[Change]:
        """A page of a point's journal, newest first."""
        ...


class PointCodes(Protocol):
    """Which points there are."""

    async def codes(self, scope: Scope, limit: int) -> list[str]:
        """The first codes of points within a scope."""
        ...


class Outbox(Protocol):
    """Messages committed and not yet published, oldest first."""

    async def pending(self, limit: int) -> list[tuple[int, Outgoing]]:
        """The next messages, with their numbers."""
        ...

    async def published(self, numbers: Sequence[int]) -> None:
        """Forget these."""
        ...
