"""How a provider's HTTP API is asked: where it is, which of the known kinds it is, and who we say we are.

All of it is data without secrets: an authentication names the secrets that it needs, and they are kept elsewhere,
sealed. See docs/guides/providers.md.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.layouts import Layout
from caudal.common.domain.payloads.mapping import Part, TimeRule
from caudal.common.domain.payloads.paths import Paths, checked_paths, paths_of
from caudal.common.domain.payloads.times import checked_pattern
from caudal.common.domain.provider_fields import (
    NAME,
    checked_headers,
    checked_names,
    checked_path,
    checked_range,
    checked_url,
    checked_word,
    read_part,
)

AuthenticationKind = Literal["none", "bearer", "header", "basic", "query", "login", "path_token", "device_token"]

SENT_TIMES = ("rfc3339", "epoch_s", "epoch_ms")
"""Forms in which `{start}` and `{end}` can be written; or a strptime pattern."""

MAX_ROWS = 10_000
"""Rows that one request may ask for."""


class ProviderApi(StrEnum):
    """The kinds of HTTP API that have a client of their own, and the one that is described."""

    TAGO = "tago"
    THETHINGS = "thethings"
    THINGSBOARD = "thingsboard"
    GENERIC = "generic"


class Authentication(Part, frozen=True, kw_only=True):
    """Who we say we are, and how; the secrets are named, not told."""

    kind: AuthenticationKind = "none"
    """bearer, header: a secret in a header. basic: user and password. query: a secret as a parameter. login: user and
    password for a token, which is then sent as with bearer. path_token: a secret of each point's own, in the path.
    device_token: a secret of each point's own, in a header."""
    secret: str = "token"
    """Name of the secret; basic and login need `username` and `password`."""
    header: str = ""
    """Name of the header; empty: `Device-Token` for device_token, `Authorization` otherwise."""
    scheme: str = "Bearer"
    """bearer, login: the word before the token; empty: the token alone."""
    parameter: str = "api_key"
    """query: name of the parameter."""
    login_path: str = "/login"
    """login: where user and password are posted, below `base_url`."""
    login_fields: tuple[str, str] = ("username", "password")
    """login: what user and password are called in the body."""
    token: Paths = "token"
    """login: where the token stands in the answer."""

    def __post_init__(self) -> None:
        checked_word(self.secret, "secret")
        for field in ("header", "scheme", "parameter"):
            if text := getattr(self, field):
                checked_word(text, field)
        checked_path(self.login_path, "login_path", frozenset())
        checked_paths(self.token, "token")

    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets without which no question can be asked."""
        if self.kind in ("basic", "login"):
            return ("username", "password")
        return () if self.kind == "none" else (self.secret,)

    def is_of_point(self) -> bool:
        """Whether each point has secrets of its own."""
        return self.kind in ("path_token", "device_token")


class Connection(Part, frozen=True, kw_only=True):
    """Where an API is, and how much is asked of it at once."""

    base_url: str
    """Such as `https://api.example.com/v2`; http or https, without user, query and fragment."""
    page_rows: int = 500
    """Rows asked for by one request, 1 to 10 000."""
    span_hours: float = 24.0
    """A history is asked for in spans of about so many hours, oldest first."""
    timeout_s: float = 20.0
    """How long one request may take as a whole, 0.1 to 120 s."""
    requests_per_s: float | None = None
    """No more requests in a second than so many, 1 to 1000; None: as many as ingest sends to any host."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Sent with each request, such as a tenant's name; nothing secret."""

    def __post_init__(self) -> None:
        checked_url(self.base_url)
        checked_headers(self.headers)
        checked_range(self.page_rows, "page_rows", 1, MAX_ROWS)
        checked_range(self.span_hours, "span_hours", 1 / 60, 24 * 366)
        checked_range(self.timeout_s, "timeout_s", 0.1, 120)
        if self.requests_per_s is not None:
            checked_range(self.requests_per_s, "requests_per_s", 1, 1000)


class TagoConnection(Connection, frozen=True, kw_only=True):
    """TagoIO: `GET /data`, newest first."""

    path: str = "/data"
    """Below `base_url`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_path(self.path, "path", frozenset({"remote_id"}))


class ThethingsConnection(Connection, frozen=True, kw_only=True):
    """thethings.io v2: a list for each resource of a thing, newest first."""

    page_rows: int = 100
    """Rows asked for by one request, 1 to 10 000."""
    path: str = "/things/{token}/resources/{key}"
    """Below `base_url`; `{token}` is the secret, `{key}` the resource."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_path(self.path, "path", frozenset({"token", "key", "remote_id"}))
        if "{key}" not in self.path:
            raise InvalidInput("path", "needs {key}: each resource is asked for by itself")


class ThingsboardConnection(Connection, frozen=True, kw_only=True):
    """ThingsBoard style: an object from key to a list of `{ts, value}`."""

    path: str = "/telemetry/DEVICE/{remote_id}/values/timeseries"
    """Below `base_url`; `{remote_id}` is the device."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_path(self.path, "path", frozenset({"remote_id"}))


class GenericConnection(Connection, frozen=True, kw_only=True):
    """Any API that answers a GET with JSON.

    Path and parameters may hold `{remote_id}` and `{key}` (each variable is asked for by itself); parameters also
    `{keys}` (all, with commas between), `{start}`, `{end}`, `{limit}`, `{page}`, `{offset}` and `{cursor}`. A parameter
    without a value, such as the cursor of a first page, is not sent.
    """

    path: str
    """Below `base_url`."""
    params: dict[str, str] = msgspec.field(default_factory=dict)
    """Parameters of a request for a history."""
    latest_path: str | None = None
    """Below `base_url`; None: `path`."""
    latest_params: dict[str, str] | None = None
    """Parameters of a request for the latest values; None: those of `params`, with the last `span_hours`."""
    readings: Paths = "$"
    """Where the rows stand; entries: with `{key}` in it, those of each variable by themselves."""
    form: Literal["rows", "entries", "series"] = "rows"
    """rows: a row has all variables, and a key is the path of one. entries: a row has one variable. series: an object
    from key to a list of rows."""
    layout: Layout = "list"
    """How rows stand there; series: how those of each key do. list, columns or keyed, see `layouts`."""
    variable: Paths = "variable"
    """entries: where the key stands, unless it was asked for by `{key}`."""
    value: Paths = "value"
    """entries, series: where the value stands."""
    time: TimeRule
    """Where the time stands and how it is written."""
    sent_time: str = "rfc3339"
    """How `{start}` and `{end}` are written: `rfc3339`, `epoch_s`, `epoch_ms` or a strptime pattern, which is written
    in the zone of times without one."""
    no_data_statuses: tuple[int, ...] = ()
    """HTTP statuses that mean that there is nothing, such as 404 for a variable before its first value."""
    order: Literal["newest_first", "oldest_first"] = "newest_first"
    """Which rows a short answer has: needed where `paging` is time."""
    paging: Literal["time", "page", "offset", "cursor", "link", "none"] = "time"
    """How the rows are reached that one answer had no room for. none: every answer is whole."""
    first_page: int = 1
    """page: number of the first."""
    cursor: Paths = "next"
    """cursor, link: where the next one stands, or its address at the same host; the last page has none."""
    success: dict[str, tuple[str | int | bool, ...]] = msgspec.field(default_factory=dict)
    """Path to values: an answer that has none of them there is a failure, whatever its HTTP status."""
    message: Paths = "message"
    """Where such an answer says why."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("path", "latest_path"):
            checked_path(getattr(self, field) or "/", field, frozenset({"token", "remote_id", "key"}))
        for field in ("readings", "variable", "value", "cursor", "message"):
            checked_paths(getattr(self, field), field)
        for path in self.success:
            checked_paths(path, "success")
        if any("{key}" in path for path in paths_of(self.readings)) and self.form != "entries":
            raise InvalidInput("readings", "holds {key}, which only the form entries has a use for")
        if not self.time.path:
            raise InvalidInput("time.path", "is missing: a polled value has a time of its own")
        if self.sent_time not in SENT_TIMES:
            _checked_sent_time(self.sent_time)
        _checked_params(self)


class ProviderSettings(NamedTuple):
    """All that is needed to ask a provider, apart from secrets."""

    api: ProviderApi
    connection: Connection
    authentication: Authentication


CONNECTIONS: dict[ProviderApi, type[Connection]] = {
    ProviderApi.TAGO: TagoConnection,
    ProviderApi.THETHINGS: ThethingsConnection,
    ProviderApi.THINGSBOARD: ThingsboardConnection,
    ProviderApi.GENERIC: GenericConnection,
}


def provider_settings(api: str, connection: Mapping[str, Any], authentication: Mapping[str, Any]) -> ProviderSettings:
    """The settings that a catalog entry describes.

    Raises:
        InvalidInput: a field cannot be used; the error names it, beginning with `api`, `connection` or
            `authentication`.
    """
    if api not in list(ProviderApi):
        raise InvalidInput("api", f"{str(api)[:60]!r} is none of {', '.join(ProviderApi)}")
    kind = ProviderApi(api)
    there = read_part(connection, CONNECTIONS[kind], "connection")
    us = read_part(authentication, Authentication, "authentication")
    if ("{token}" in getattr(there, "path", "")) != (us.kind == "path_token"):
        raise InvalidInput("connection.path", "has {token} if, and only if, authentication.kind is path_token")
    return ProviderSettings(kind, there, us)


_PARAMETERS = frozenset({"remote_id", "key", "keys", "start", "end", "limit", "page", "offset", "cursor"})


def _checked_params(connection: GenericConnection) -> None:
    for field in ("params", "latest_params"):
        for name, template in (getattr(connection, field) or {}).items():
            checked_names(template, f"{field}.{name[:60]}", _PARAMETERS)
    held = {name for template in connection.params.values() for name in NAME.findall(template)}
    wanted = {"time": {"start", "end"}, "none": set(), "link": set()}.get(connection.paging, {connection.paging})
    for name in sorted(wanted - held):
        raise InvalidInput("params", f"holds no {{{name}}}, which paging by {connection.paging} needs")


def _checked_sent_time(pattern: str) -> None:
    if "%" not in pattern:
        raise InvalidInput("sent_time", f"{pattern[:60]!r} is none of {', '.join(SENT_TIMES)} and no strptime pattern")
    try:
        checked_pattern(pattern)
    except InvalidInput as error:
        raise InvalidInput("sent_time", error.reason) from error
    moment = datetime(2001, 2, 3, 16, 5, tzinfo=UTC)
    if datetime.strptime(moment.strftime(pattern), pattern).replace(tzinfo=UTC) != moment:
        raise InvalidInput("sent_time", f"{pattern[:60]!r} does not tell date, hour and minute")
