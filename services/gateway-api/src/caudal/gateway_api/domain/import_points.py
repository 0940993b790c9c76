"""The plan of an import of points, or of variables of points."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from caudal.common.domain.catalog import Point
from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.errors import Conflict
from caudal.gateway_api.domain.import_rows import Given
from caudal.gateway_api.domain.imported_points import differences, point_with
from caudal.gateway_api.domain.imports import Ground, Outcome, Step
from caudal.gateway_api.domain.permissions import Scope


class PointPlanner:
    """Plans rows one after the other, each upon what those before it would have done."""

    def __init__(self, ground: Ground, scope: Scope, *, of_variables: bool) -> None:
        self._ground = ground
        self._scope = scope
        self._of_variables = of_variables
        self._points = dict(ground.points)
        self._devices = dict(ground.devices)
        self._rows: dict[str, int] = {}

    def plan(self, rows: Iterable[Given]) -> list[Step]:
        """A step for each row, in order."""
        return [self._step(row) for row in rows]

    def _step(self, row: Given) -> Step:
        key, said = _of_a_variable(row.fields) if self._of_variables else _of_a_point(row.fields)
        step = Step(row=row.row, key=key, outcome=Outcome.UNCHANGED, of=str(said.get("code", "")), said=said)
        try:
            if row.problem is not None:
                raise row.problem
            self._check_once(key, row.row)
            before = self._points.get(step.of)
            after = self._after(before, said)
        except (InvalidInput, Conflict) as error:
            refused = step.refused(error)
            where = (refused.field or "row").removeprefix("variables.0.")
            return replace(refused, field=where if self._of_variables else refused.field)
        self._take(before, after)
        outcome = Outcome.CREATE if self._is_new(before, said) else Outcome.CHANGE
        if before == after:
            return step
        return replace(step, outcome=outcome, is_new_point=before is None, changes=differences(before, after))

    def _check_once(self, key: str, row: int) -> None:
        if (first := self._rows.setdefault(key, row)) != row:
            raise Conflict(f"{key!r} is in row {first} already", "code")

    def _after(self, before: Point | None, said: Mapping[str, Any]) -> Point:
        """The point as it would be.

        Raises:
            InvalidInput, Conflict: it would be refused.
        """
        if self._of_variables and before is None:
            raise InvalidInput("point", f"there is no point {str(said.get('code', ''))[:80]!r}")
        after = self._placed(point_with(before, said))
        if before is None and after.code in self._ground.foreign:
            raise Conflict("this code is taken", "code")
        if self._devices.get(after.device, after.code) != after.code:
            raise Conflict("another point claims this device", "device")
        if after.client is not None and after.client not in self._ground.clients:
            raise InvalidInput("client", f"there is no client {after.client!r}")
        if after.provider is not None and not self._may_have(after.provider, after.client):
            raise InvalidInput("provider", f"there is no provider {after.provider!r}")
        return after

    def _may_have(self, provider: str, client: str | None) -> bool:
        """Whether there is such a provider, shared or the client's."""
        providers = self._ground.providers
        return provider in providers and providers[provider] in (None, client)

    def _placed(self, point: Point) -> Point:
        """The point as the caller's client's, if it says of none; staff may say of any."""
        if self._scope.sees(point.client):
            return point
        if point.client is not None:
            raise InvalidInput("client", f"there is no client {point.client!r}")
        return replace(point, client=self._scope.client)

    def _take(self, before: Point | None, after: Point) -> None:
        if before is not None and before.device != after.device:
            del self._devices[before.device]
        self._devices[after.device] = after.code
        self._points[after.code] = after

    def _is_new(self, before: Point | None, said: Mapping[str, Any]) -> bool:
        """Whether what the row is about was not there."""
        if before is None or not self._of_variables:
            return before is None
        return said["variables"][0]["code"] not in {variable.code for variable in before.variables}


def _of_a_point(fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return str(fields.get("code", "")), fields


def _of_a_variable(fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """A variable is written as a part of its point."""
    point = str(fields.get("point", ""))
    variable = {name: value for name, value in fields.items() if name != "point"}
    return f"{point}/{variable.get('code', '')}", {"code": point, "variables": [variable]}
