"""What each role may do: rows that administrators edit."""

from collections.abc import Callable
from dataclasses import replace

from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.gateway_api.domain.audit import act_of
from caudal.gateway_api.domain.errors import Conflict, Forbidden
from caudal.gateway_api.domain.permissions import ADMIN, Caller, Role
from caudal.gateway_api.domain.versions import ANY, Expected
from caudal.gateway_api.handlers.identity import Identity


async def create_role(identity: Identity, caller: Caller, role: Role) -> Role:
    """Add a role.

    Raises:
        Conflict: its code is taken.
        Forbidden: it may do what the caller may not.
    """
    _check(caller, role)
    now = identity.clock.now()
    async with identity.store.work() as work:
        await work.roles.add(role)
        work.audit.record(act_of(caller, now, "create", "role", role.code, None, role))
    return role


async def change_role(
    identity: Identity, caller: Caller, code: str, change: Callable[[Role], Role], expected: Expected = ANY
) -> Role:
    """Put `change(role)` in the place of a role; who has it may do that within seconds.

    Raises:
        NotFound: there is no such role.
        Conflict: it is the administrators', of whom there must always be some.
        Forbidden: it would do what the caller may not.
        Stale: it has changed since the caller read it.
    """
    now = identity.clock.now()
    async with identity.store.work() as work:
        before = await work.roles.one(code)
        if before is None:
            raise NotFound("role", code)
        expected.check(before)
        after = replace(change(before), updated_at=now)
        if code == ADMIN and after.permissions != before.permissions:
            raise Conflict("administrators may everything: make another role for those who may not", "permissions")
        _check(caller, after)
        await work.roles.put(after)
        work.audit.record(act_of(caller, now, "change", "role", code, before, after))
    return after


async def delete_role(identity: Identity, caller: Caller, code: str, expected: Expected = ANY) -> None:
    """Remove a role that nobody has.

    Raises:
        NotFound: there is no such role.
        Conflict: users have it, or it is the administrators'.
        Stale: it has changed since the caller read it.
    """
    now = identity.clock.now()
    async with identity.store.work() as work:
        before = await work.roles.one(code)
        if before is None:
            raise NotFound("role", code)
        if code == ADMIN:
            raise Conflict("there must always be administrators")
        expected.check(before)
        await work.roles.remove(code)
        work.audit.record(act_of(caller, now, "delete", "role", code, before, None))


def _check(caller: Caller, role: Role) -> None:
    if not role.permissions:
        raise InvalidInput("permissions", "a role needs at least one")
    if not caller.may_grant(role.permissions, None):
        raise Forbidden("a role may do no more than who makes it")
