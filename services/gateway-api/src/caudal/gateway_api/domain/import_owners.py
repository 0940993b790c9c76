"""The plan of an import of owners: who is what to which point, users by their address."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.import_rows import Given
from caudal.gateway_api.domain.imports import Ground, Outcome, Step
from caudal.gateway_api.domain.permissions import Permission
from caudal.gateway_api.domain.tenancy import Owner, OwnerKind, checked_owner, joined_id, normal_email


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """What a row says of an owner."""

    user: str
    point: str
    kind: OwnerKind
    permissions: tuple[Permission, ...] | None = None
    """None: nothing is said of them."""


class OwnerPlanner:
    """Plans rows one after the other."""

    def __init__(self, ground: Ground, now: datetime) -> None:
        self._ground = ground
        self._now = now
        self._rows: dict[str, int] = {}

    def plan(self, rows: Iterable[Given]) -> list[Step]:
        """A step for each row, in order."""
        return [self._step(row) for row in rows]

    def _step(self, row: Given) -> Step:
        key = f"{row.fields.get('point', '')}/{row.fields.get('user', '')}"
        step = Step(row=row.row, key=key, outcome=Outcome.UNCHANGED)
        try:
            if row.problem is not None:
                raise row.problem
            after = self._after(row)
            before = self._ground.owners.get(after.id)
        except (InvalidInput, Conflict) as error:
            return step.refused(error)
        if before is not None and before.permissions == after.permissions:
            return step
        changes: dict[str, Any] = {"permissions": [before and list(before.permissions), list(after.permissions)]}
        if before is None:
            changes["kind"] = [None, after.kind]
        outcome = Outcome.CREATE if before is None else Outcome.CHANGE
        return replace(step, outcome=outcome, changes=changes, of=after.id, owner=after)

    def _after(self, row: Given) -> Owner:
        said = _said(row)
        user, client = self._ground.users.get(normal_email(said.user), ("", None))
        if not user:
            raise InvalidInput("user", f"there is no user {said.user[:80]!r}")
        point = self._ground.points.get(said.point)
        if point is None:
            raise InvalidInput("point", f"there is no point {said.point[:80]!r}")
        if client is not None and client != point.client:
            raise Conflict("the user belongs to another client than the point", "user")
        found = joined_id(user, said.point, said.kind)
        if (first := self._rows.setdefault(found, row.row)) != row.row:
            raise Conflict(f"the same is in row {first} already", "kind")
        before = self._ground.owners.get(found)
        kept = before.permissions if before is not None else ()
        agreed = kept if said.permissions is None else said.permissions
        fields: dict[str, Any] = {"user": user, "point": said.point, "kind": said.kind, "permissions": agreed}
        made = before.created_at if before is not None else self._now
        return checked_owner(Owner(id=found, **fields, created_at=made, updated_at=self._now))


def _said(row: Given) -> _Said:
    try:
        return msgspec.convert(row.fields, _Said)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        missing = next((name for name in ("user", "point", "kind") if f"`{name}`" in reason), "row")
        raise InvalidInput(path.rstrip("`") or missing, "is missing" if missing != "row" else reason) from error
