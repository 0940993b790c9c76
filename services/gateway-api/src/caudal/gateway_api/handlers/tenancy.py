"""What holds between clients, users, points, owners and preferences, beyond what each of them is."""

from dataclasses import fields

from caudal.common.domain.errors import InvalidInput, NotFound
from caudal.gateway_api.domain.errors import Conflict, Forbidden
from caudal.gateway_api.domain.listing import Listing, Page
from caudal.gateway_api.domain.permissions import ADMIN, Caller
from caudal.gateway_api.domain.records import CLIENTS, OWNERS, USERS
from caudal.gateway_api.domain.tenancy import Account, Client, ListedOwner, Owner, Preference
from caudal.gateway_api.handlers.records import RecordsDesk
from caudal.gateway_api.ports import RecordsEdit


async def owner_page(desk: RecordsDesk, caller: Caller, listing: Listing) -> Page[ListedOwner]:
    """A page of owners, with the addresses of those whom the caller sees."""
    found = await desk.records.page(OWNERS, caller.scope, listing)
    addresses = await desk.records.addresses(caller.scope, [owner.user for owner in found.items])
    return found.mapped(
        lambda owner: ListedOwner(
            **{each.name: getattr(owner, each.name) for each in fields(owner)}, email=addresses.get(owner.user)
        )
    )


async def client_rule(edit: RecordsEdit, _caller: Caller, before: Client | None, after: Client | None) -> None:
    """A client goes only when nothing is left of it.

    Raises:
        Conflict: something is; the error says what.
    """
    if before is not None and after is None:
        left = [f"{name} ({count})" for name, count in (await edit.belongings(before.code)).items() if count]
        if left:
            raise Conflict(f"{', '.join(left)} still belong to this client: remove them or give them to another one")


async def account_rule(edit: RecordsEdit, caller: Caller, before: Account | None, after: Account | None) -> None:
    """Users are made, changed and removed by who has all that they have; an administrator stays.

    Raises:
        Forbidden: the caller lacks a permission of the user, before or after.
        InvalidInput: there is no such role or client.
        Conflict: nobody would be left who may do everything.
    """
    for account in (before, after):
        if account is not None:
            await _check_grant(edit, caller, account)
    if _is_admin(before) and not _is_admin(after) and not await edit.other_admins(before.id if before else ""):
        field = "active" if after is not None and after.role == ADMIN else "role"
        raise Conflict("this is the last administrator: make another one first", field)
    if before is None or after is None:
        return
    if (before.role, before.client) != (after.role, after.client):
        # Who issued one was somebody who had all that the user had then.
        await edit.close_resets(after.id, after.updated_at)
    if before.active and not after.active:
        # Or they would go on when the user is switched on again.
        await edit.end_sessions(after.id, after.updated_at, "switched_off")


async def _check_grant(edit: RecordsEdit, caller: Caller, account: Account) -> None:
    if account.client is not None:
        await _known(edit, account.client)
    permissions = await edit.permissions_of(account.role)
    if permissions is None:
        raise InvalidInput("role", f"there is no role {account.role!r}")
    if account.client is not None and account.role == ADMIN:
        raise InvalidInput("role", "administrators belong to no client; client_admin looks after one")
    if not caller.may_grant(permissions, account.client):
        raise Forbidden(f"the role {account.role} has permissions that you lack")


async def _known(edit: RecordsEdit, client: str) -> None:
    try:
        await edit.one(CLIENTS, client)
    except NotFound as error:
        raise InvalidInput("client", f"there is no client {client!r}") from error


def _is_admin(account: Account | None) -> bool:
    return account is not None and account.active and account.role == ADMIN and account.client is None


async def owner_rule(edit: RecordsEdit, caller: Caller, before: Owner | None, after: Owner | None) -> None:
    """A point is owned by users of its own client, or by staff; nobody agrees to what they may not do themselves.

    Raises:
        InvalidInput: there is no such user or point.
        Conflict: the two belong to different clients.
        Forbidden: the caller lacks a permission that is agreed on.
    """
    if after is not None:
        if not caller.permissions.issuperset(after.permissions):
            raise Forbidden("nobody agrees to what they may not do themselves")
        await _check_together(edit, after.user, after.point)


async def preference_rule(
    edit: RecordsEdit, caller: Caller, before: Preference | None, after: Preference | None
) -> None:
    """Users are told about points of their own client; who is alone speaks of nobody else. Raises as `owner_rule`."""
    if after is not None:
        if caller.scope.user not in (None, after.user):
            raise InvalidInput("user", f"there is no user {after.user!r}")
        await _check_together(edit, after.user, after.point)


async def _check_together(edit: RecordsEdit, user: str, point: str | None) -> None:
    try:
        account = await edit.one(USERS, user)
    except NotFound as error:
        raise InvalidInput("user", f"there is no user {user!r}") from error
    if point is None:
        return
    whose = await edit.client_of_point(point)
    if whose is None:
        raise InvalidInput("point", f"there is no point {point!r}")
    if account.client is not None and account.client != whose[0]:
        raise Conflict("the user belongs to another client than the point", "user")
