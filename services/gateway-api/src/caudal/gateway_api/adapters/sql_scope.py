"""Whose things a query may find, as conditions: the one place where clients are kept apart."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from caudal.gateway_api.adapters.ledger_views import RECORD_CLIENT, ledger_raw, ledger_rejected
from caudal.gateway_api.adapters.tables import (
    audit_log,
    clients,
    commands,
    notification_preferences,
    owners,
    points,
    providers,
    schemas,
    users,
    variables,
)
from caudal.gateway_api.domain.permissions import Permission, Scope
from caudal.gateway_api.domain.records import CLIENTS, OWNERS, PREFERENCES, SCHEMAS, USERS

Condition = sa.ColumnElement[bool]


def _mine(column: sa.ColumnElement[str | None], scope: Scope) -> Condition:
    return sa.true() if scope.client is None else column == scope.client


def points_agreed(user: str, permission: Permission) -> sa.Select[str]:
    """Codes of the points at which this was agreed that a user may do."""
    # A list of words as JSON, in which each stands between quotes.
    among = owners.c.permissions.like(sa.literal('%"') + permission + '"%')
    return sa.select(owners.c.point).where(owners.c.user == user, among)


def _my_points(scope: Scope) -> Condition:
    mine = _mine(points.c.client, scope)
    if scope.agreed is None or scope.user is None:
        return mine
    return sa.and_(mine, points.c.code.in_(points_agreed(scope.user, scope.agreed)))


def points_of(scope: Scope) -> sa.Select[str]:
    """Codes of the points within a scope."""
    return sa.select(points.c.code).where(_my_points(scope))


def _is_everywhere(scope: Scope) -> bool:
    return scope.client is None and scope.agreed is None


def _of_my_points(column: sa.ColumnElement[str | None], scope: Scope) -> Condition:
    return sa.true() if _is_everywhere(scope) else column.in_(points_of(scope))


def _of_my_devices(column: sa.ColumnElement[str], scope: Scope) -> Condition:
    if _is_everywhere(scope):
        return sa.true()
    return column.in_(sa.select(points.c.device).where(_my_points(scope)))


def _of_my_users(column: sa.ColumnElement[str], scope: Scope) -> Condition:
    if scope.client is None:
        return sa.true()
    return column.in_(sa.select(users.c.id).where(users.c.client == scope.client))


def _my_preferences(scope: Scope) -> Condition:
    if scope.user is not None:
        return notification_preferences.c.user == scope.user
    return _of_my_users(notification_preferences.c.user, scope)


def _shared_or_mine(column: sa.ColumnElement[str | None], scope: Scope) -> Condition:
    return sa.true() if scope.client is None else sa.or_(column.is_(None), column == scope.client)


def _my_orders(scope: Scope) -> Condition:
    """Orders about devices, about schemas, and own ones: a device, a schema and a provider may share a name."""
    if _is_everywhere(scope):
        return sa.true()
    is_about_device, is_about_schema = commands.c.action.in_(("process", "replay")), commands.c.action == "recompute"
    of_devices = sa.and_(is_about_device, _of_my_devices(commands.c.target, scope))
    if scope.agreed is not None:
        return of_devices
    mine = sa.select(schemas.c.code).where(schemas.c.client == scope.client)
    return sa.or_(
        of_devices,
        sa.and_(is_about_schema, commands.c.target.in_(mine)),
        sa.and_(sa.not_(is_about_device), sa.not_(is_about_schema), commands.c.client == scope.client),
    )


Within = Callable[[Scope], Condition]

_OF_POINTS: Mapping[str, Within] = {
    "point": _my_points,
    "variable": lambda scope: _of_my_points(variables.c.point, scope),
    "order": _my_orders,
    "raw": lambda scope: _of_my_points(ledger_raw.c.point, scope),
    "rejected": lambda scope: _of_my_devices(ledger_rejected.c.device, scope),
}
"""What is a point's, and so is found by who has agreements about points and nothing else."""
_OTHERS: Mapping[str, Within] = {
    "provider": lambda scope: _shared_or_mine(providers.c.client, scope),
    "act": lambda scope: _mine(audit_log.c.client, scope),
    "record": lambda scope: _mine(RECORD_CLIENT, scope),
    "unclaimed": lambda scope: sa.true() if scope.client is None else sa.false(),
    CLIENTS.name: lambda scope: _mine(clients.c.code, scope),
    USERS.name: lambda scope: _mine(users.c.client, scope),
    SCHEMAS.name: lambda scope: _shared_or_mine(schemas.c.client, scope),
    OWNERS.name: lambda scope: _of_my_points(owners.c.point, scope),
    PREFERENCES.name: _my_preferences,
}


def _by_role(within: Within) -> Within:
    return lambda scope: within(scope) if scope.agreed is None else sa.false()


SCOPES: Mapping[str, Within] = {**_OF_POINTS, **{kind: _by_role(within) for kind, within in _OTHERS.items()}}
"""By what is asked for; without a client everything is found."""

_BOUNDS = tuple(field.name for field in fields(Scope))
"""All that a scope may be bounded by: what is added there is a parameter here."""


def scope_parameters(scope: Scope) -> dict[str, object]:
    """The bounds that a scope has, as parameters of a statement that is kept."""
    given = {f"scope_{name}": getattr(scope, name) for name in _BOUNDS}
    return {name: value for name, value in given.items() if value is not None}


def scope_of_parameters(names: Collection[str]) -> Scope:
    """A scope with just the bounds that are among these parameters, for the statement that is kept."""
    bounds: dict[str, Any] = {
        name: sa.bindparam(f"scope_{name}", type_=sa.String) for name in _BOUNDS if f"scope_{name}" in names
    }
    return Scope(**({"client": None} | bounds))
