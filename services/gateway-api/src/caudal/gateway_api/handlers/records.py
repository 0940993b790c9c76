"""Keeping what is one row each: judged, within the caller's scope, and recorded in the transaction that makes it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from caudal.common.domain.errors import NotFound
from caudal.common.ports import Clock
from caudal.gateway_api.domain.audit import act_of, end_of
from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.records import USERS, Kind
from caudal.gateway_api.domain.tenancy import Account, Client, Owner, Preference, Tie
from caudal.gateway_api.domain.versions import ANY, Expected
from caudal.gateway_api.ports import Passwords, Records, RecordsEdit

T = TypeVar("T")

Rule = Callable[[RecordsEdit, Caller, T | None, T | None], Awaitable[None]]
"""Refuses a change from the one to the other (None: there is none) because of what else is there, or of who asks."""


@dataclass(frozen=True, slots=True)
class RecordsDesk:
    """The ports that keeping records needs."""

    records: Records
    passwords: Passwords
    clock: Clock


async def one(desk: RecordsDesk, caller: Caller, kind: Kind[T], key: str) -> T:
    """The record of this key.

    Raises:
        NotFound: there is none within the caller's scope.
    """
    found = await desk.records.one(kind, caller.scope, key)
    if found is None:
        raise NotFound(kind.name, key)
    return found


async def create(desk: RecordsDesk, caller: Caller, kind: Kind[T], record: T, rule: Rule[T], **hidden: str) -> T:
    """Add a record, with fields that nobody reads back.

    Raises:
        InvalidInput: a field cannot be used.
        Conflict: it is there already.
        Forbidden: the caller may not.
    """
    record = kind.checked(record)
    async with desk.records.edit(caller.scope) as edit:
        await rule(edit, caller, None, record)
        await edit.add(kind, record, **hidden)
        await _record(desk, edit, caller, "create", kind, None, record)
    return record


async def change(
    desk: RecordsDesk,
    caller: Caller,
    kind: Kind[T],
    key: str,
    changed: Callable[[T], T],
    rule: Rule[T],
    expected: Expected = ANY,
    **hidden: str,
) -> T:
    """Put `changed(record)` in the place of a record.

    Raises:
        NotFound: there is none within the caller's scope.
        Stale: it is not what the caller has seen.
        InvalidInput, Conflict, Forbidden: as `create`.
    """
    async with desk.records.edit(caller.scope) as edit:
        before = await edit.one(kind, key)
        expected.check(before)
        after = kind.checked(changed(before))
        await rule(edit, caller, before, after)
        await _loosen(desk, edit, caller, before, after)
        await edit.put(kind, after, **hidden)
        await _record(desk, edit, caller, "change", kind, before, after)
    return after


async def delete(
    desk: RecordsDesk, caller: Caller, kind: Kind[T], key: str, rule: Rule[T], expected: Expected = ANY
) -> None:
    """Remove a record.

    Raises:
        NotFound, Stale, Forbidden: as `change`.
        Conflict: other things belong to it.
    """
    async with desk.records.edit(caller.scope) as edit:
        before = await edit.one(kind, key)
        expected.check(before)
        await rule(edit, caller, before, None)
        await _loosen(desk, edit, caller, before, None)
        await edit.remove(kind, key)
        await _record(desk, edit, caller, "delete", kind, before, None)


async def _loosen(desk: RecordsDesk, edit: RecordsEdit, caller: Caller, before: object, after: object) -> None:
    """Take away what ties a user to points that the user leaves, by moving or for good."""
    ties: Sequence[Tie] = ()
    if isinstance(before, Account) and not isinstance(after, Account):
        ties = await edit.forget_ties(before.id)
    elif isinstance(before, Account) and isinstance(after, Account) and before.client != after.client:
        ties = await edit.forget_foreign(before.id, after.client)
    for tie in ties:
        edit.audit.record(end_of(tie, caller, desk.clock.now()))


async def _record(
    desk: RecordsDesk, edit: RecordsEdit, caller: Caller, action: str, kind: Kind[Any], before: Any, after: Any
) -> None:
    there = after if after is not None else before
    # Who gains or loses something must not see whose it was or will be: that line is the staff's.
    moved = before is not None and after is not None and await _whose(edit, before) != await _whose(edit, after)
    client = None if moved else await _whose(edit, there)
    point = getattr(there, "point", None)
    now = desk.clock.now()
    key = kind.key_of(there)
    edit.audit.record(act_of(caller, now, action, kind.name, key, before, after, client=client, point=point))


async def _whose(edit: RecordsEdit, record: Any) -> str | None:
    """Of which client something is; an owner follows the point, a preference the user."""
    if isinstance(record, Client):
        return record.code
    if isinstance(record, Owner):
        return (await edit.client_of_point(record.point) or (None,))[0]
    if isinstance(record, Preference):
        return (await edit.one(USERS, record.user)).client
    client: str | None = record.client
    return client
