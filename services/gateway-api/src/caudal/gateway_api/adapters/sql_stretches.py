"""Long lists as SQL, the newest first, a stretch at a time."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from caudal.common.adapters.sql_reads import Row, ask
from caudal.gateway_api.adapters.sql_scope import SCOPES, scope_of_parameters, scope_parameters
from caudal.gateway_api.domain.cursors import Cursor
from caudal.gateway_api.domain.permissions import Scope

MAX_FORMS = 200
"""How many statements a list keeps; whoever asks chooses what it is about."""


class SqlStretches:
    """A view of the ledger, read from the newest row on.

    As in `SqlList`, a statement is built once for each form of a question, and given the values.
    """

    def __init__(self, view: sa.TableClause, kind: str, span: str) -> None:
        """`kind` says in `SCOPES` whose rows a scope sees; `start` and `end` are about the column `span`."""
        self._view = view
        self._kind = kind
        self._span = span
        self._forms: dict[object, sa.Select[Any]] = {}

    async def newest(
        self, engine: AsyncEngine, scope: Scope, wanted: Row, time: str | None, after: Cursor | None, limit: int
    ) -> Sequence[Row]:
        """The next `limit` rows, last first by `time` and id, of those that meet all that is `wanted`.

        Args:
            wanted: Column to value, `devices` to several; None asks for any.
            time: A column; None: by id alone.
        """
        given = {name: value for name, value in wanted.items() if value is not None}
        given |= scope_parameters(scope)
        given |= {"after": after.at, "after_id": after.id} if after is not None else {}
        devices = given.pop("devices", None)
        statement = self.statement(time, tuple(given), None if devices is None else len(devices))
        return await ask(engine, statement, {**given, **named_devices(devices or ()), "limit": limit})

    def statement(self, time: str | None, names: tuple[str, ...], devices: int | None) -> sa.Select[Any]:
        """That of a question in which these parameters are given, and so many devices."""
        form = (time, names, devices)
        known = self._forms.get(form)
        if known is None:
            if len(self._forms) >= MAX_FORMS:
                self._forms.clear()
            known = self._forms[form] = self._built(*form)
        return known

    def _built(self, time: str | None, names: Sequence[str], devices: int | None) -> sa.Select[Any]:
        newest = None if time is None else self._view.c[time]
        values = (name for name in names if name != "after_id" and not name.startswith("scope_"))
        conditions = [SCOPES[self._kind](scope_of_parameters(names)), *(self._condition(n, newest) for n in values)]
        if devices is not None:
            conditions.append(among_devices(self._view.c.device, devices))
        limit = sa.bindparam("limit", type_=sa.BigInteger)
        order = [] if newest is None else [newest.desc()]
        return sa.select(self._view).where(*conditions).order_by(*order, self._view.c.id.desc()).limit(limit)

    def _condition(self, name: str, newest: sa.ColumnElement[Any] | None) -> sa.ColumnElement[bool]:
        value: sa.BindParameter[Any] = sa.bindparam(name)
        if name == "after":
            before: sa.ColumnElement[bool] = self._view.c.id < sa.bindparam("after_id")
            return before if newest is None else sa.or_(newest < value, sa.and_(newest == value, before))
        if name == "replayed":
            return self._view.c.replayed_at.is_not(None) == sa.bindparam("replayed", type_=sa.Boolean)
        operate = {"start": operator.ge, "end": operator.lt}.get(name, operator.eq)
        met: sa.ColumnElement[bool] = operate(self._view.c[self._span if name in ("start", "end") else name], value)
        return met


def among_devices(column: sa.ColumnElement[str], count: int) -> sa.ColumnElement[bool]:
    """Condition: it is one of the `named_devices`, which are `count`."""
    return column.in_([sa.bindparam(f"device_{place}", type_=sa.String) for place in range(count)])


def named_devices(devices: Sequence[str]) -> Mapping[str, str]:
    """The parameters that `among_devices` has."""
    return {f"device_{place}": device for place, device in enumerate(devices)}
