"""Who did what to which object: the audit log's lines, and the chain that holds them together."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from caudal.gateway_api.domain.permissions import Caller
from caudal.gateway_api.domain.tenancy import Tie

FIRST = "0" * 64
"""What the first line has in the place of the hash before it."""

CHAINED = (
    "number",
    "at",
    "who",
    "action",
    "kind",
    "key",
    "client",
    "point",
    "before",
    "after",
    "address",
    "request",
    "previous",
)
"""Columns that a hash covers: all but the hash itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that somebody did; no secret is ever part of it."""

    at: datetime
    who: str
    action: str
    """create, change, delete, login, …"""
    kind: str
    """What it was done to: point, variable, provider, client, user, role, api_key, session, …"""
    key: str
    """Code or id of the object."""
    client: str | None = None
    """Whose object it is; None: the staff's."""
    point: str | None = None
    """The point that it is about, if it is about one."""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    address: str | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine(Act):
    """An act as it stands in the log."""

    number: int
    """From 1, without a gap."""
    previous: str
    """Hash of the line before it."""
    hash: str


def act_of(
    caller: Caller,
    at: datetime,
    action: str,
    kind: str,
    key: str,
    before: object = None,
    after: object = None,
    *,
    client: str | None = None,
    point: str | None = None,
) -> Act:
    """What `caller` did; `before` and `after` are the object's states, None where there was or is none."""
    return Act(
        at=at,
        who=caller.name,
        action=action,
        kind=kind,
        key=key,
        client=client,
        point=point,
        before=_plain(before),
        after=_plain(after),
        address=caller.origin.address,
        request=caller.origin.request,
    )


def end_of(tie: Tie, caller: Caller, at: datetime) -> Act:
    """The end of what went along with something else that `caller` did away with."""
    what = tie.what
    return act_of(caller, at, "delete", tie.kind, what.id, what, client=tie.client, point=what.point)


def _plain(state: object) -> dict[str, Any] | None:
    return None if state is None else msgspec.to_builtins(state, order="sorted")


def line_of(act: Act, number: int, previous: str) -> dict[str, Any]:
    """The line that `act` becomes behind the line with the hash `previous`."""
    line = {name: getattr(act, name) for name in CHAINED if name not in ("number", "previous", "before", "after")}
    line |= {"number": number, "previous": previous, "before": _text(act.before), "after": _text(act.after)}
    return line | {"hash": hash_of(line)}


def hash_of(line: Mapping[str, Any]) -> str:
    """SHA-256 over the line's columns as canonical JSON: sorted names, no spaces, UTF-8, times in UTC to the
    microsecond. The hash before it is one of the columns, so nothing can be changed, moved or taken out unseen."""
    told = {name: line[name] for name in CHAINED} | {"at": _moment(line["at"])}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _text(state: Mapping[str, Any] | None) -> str | None:
    return None if state is None else msgspec.json.encode(state, order="sorted").decode()


def _moment(at: datetime | str) -> str:
    """`at` as text; text stays as it is, since it is what somebody wrote into the table."""
    if isinstance(at, str):
        return at
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def broken_by(line: Mapping[str, Any], number: int, previous: str) -> str | None:
    """What is wrong with `line` where line `number` has to follow the hash `previous`; None: nothing."""
    if line["number"] != number:
        return f"line {number} is missing"
    if line["previous"] != previous:
        return f"line {number} does not follow the line before it"
    try:
        is_whole = hash_of(line) == line["hash"]
    except (TypeError, ValueError, AttributeError):
        is_whole = False
    return None if is_whole else f"line {number} is not what was written"
