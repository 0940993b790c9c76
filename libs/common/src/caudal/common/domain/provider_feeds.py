"""How a provider's WebSocket is listened to: where it is, who we say we are, and what we say first.

All of it is data without secrets. `{name}` in a header, a parameter or a first message stands for the secret of that
name, which is kept elsewhere, sealed. See docs/guides/providers.md.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from caudal.common.domain.errors import InvalidInput, Permanent
from caudal.common.domain.payloads.mapping import Part
from caudal.common.domain.payloads.paths import checked_paths
from caudal.common.domain.provider_fields import checked_line, checked_range, checked_url, checked_word, read_part
from caudal.common.domain.providers import Authentication

KINDS = ("none", "bearer", "header", "basic", "query")
"""Kinds of authentication that a handshake has room for."""
OWN_HEADERS = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding"})
"""Headers that belong to the handshake itself."""
MAX_FIRST = 50
"""Messages said first."""

_secret = re.compile(r"\{([A-Za-z_]\w{0,63})\}", re.ASCII)


class Resume(Part, frozen=True, kw_only=True):
    """How a provider is told from when on it should begin, if it can begin in the past at all."""

    parameter: str
    """Name of the query parameter."""
    form: Literal["rfc3339", "epoch_s", "epoch_ms"] = "rfc3339"
    overlap_s: float = 60.0
    """So long before the last message, 0 to 86 400 s: what comes twice counts once."""

    def __post_init__(self) -> None:
        checked_word(self.parameter, "parameter")
        checked_range(self.overlap_s, "overlap_s", 0, 86_400)


class FeedConnection(Part, frozen=True, kw_only=True):
    """A WebSocket on which a provider says what was measured."""

    url: str
    """Such as `wss://stream.example.com/v1`; ws or wss, without user, query and fragment."""
    params: dict[str, str] = msgspec.field(default_factory=dict)
    """Query parameters."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    subscribe: tuple[str | dict[str, Any] | list[Any], ...] = ()
    """Messages that we say first, in order: text as it is, anything else as JSON."""
    skip: dict[str, tuple[str | int | bool, ...]] = msgspec.field(default_factory=dict)
    """Path to values: messages with one of them there are the provider's own, such as heartbeats, and no readings."""
    ping_s: float = 30.0
    """After so long a silence we ping, and after as long again without an answer we connect anew; 1 to 3600 s."""
    idle_s: float | None = None
    """After so long without a message we connect anew, whatever pings say; None: never."""
    max_bytes: int = 262_144
    """Of one message, 1024 to 1 048 576; a longer one ends the connection."""
    resume: Resume | None = None
    """None: what came while we were away is lost."""

    def __post_init__(self) -> None:
        checked_url(self.url, "url", ("ws", "wss"))
        for field in ("params", "headers"):
            for name, value in getattr(self, field).items():
                checked_word(name, f"{field}.{name[:60]}")
                checked_line(value, f"{field}.{name[:60]}")
        for name in self.headers:
            if name.lower() in OWN_HEADERS or name.lower().startswith("sec-websocket"):
                raise InvalidInput(f"headers.{name}", "belongs to the handshake")
        for word in self.subprotocols:
            checked_word(word, "subprotocols")
        if len(self.subscribe) > MAX_FIRST:
            raise InvalidInput("subscribe", f"has {len(self.subscribe)} messages; at most {MAX_FIRST}")
        for path in self.skip:
            checked_paths(path, "skip")
        checked_range(self.ping_s, "ping_s", 1, 3600)
        if self.idle_s is not None:
            checked_range(self.idle_s, "idle_s", 1, 7 * 86_400)
        checked_range(self.max_bytes, "max_bytes", 1024, 1_048_576)

    def secrets(self) -> frozenset[str]:
        """Names of the secrets that headers, parameters and first messages hold."""
        said = [*self.params.values(), *self.headers.values(), *self.subscribe]
        return frozenset(name for text in _texts(said) for name in _secret.findall(text))


class FeedSettings(NamedTuple):
    """All that is needed to listen to a provider, apart from secrets."""

    connection: FeedConnection
    authentication: Authentication

    def secrets(self) -> frozenset[str]:
        """Names of the secrets without which nobody can connect."""
        return self.connection.secrets() | frozenset(self.authentication.secrets())


def feed_settings(connection: Mapping[str, Any], authentication: Mapping[str, Any]) -> FeedSettings:
    """The settings that a catalog entry of type WEBSOCKET describes.

    Raises:
        InvalidInput: a field cannot be used; the error names it, beginning with `connection` or `authentication`.
    """
    there = read_part(connection, FeedConnection, "connection")
    us = read_part(authentication, Authentication, "authentication")
    if us.kind not in KINDS:
        raise InvalidInput("authentication.kind", f"is none of {', '.join(KINDS)}, which a WebSocket has room for")
    return FeedSettings(there, us)


def filled(template: Any, secrets: Mapping[str, str]) -> Any:
    """`template` with secrets in the place of their names, in every text of it.

    Raises:
        Permanent: one of them is not set.
    """
    match template:
        case str():
            return _secret.sub(lambda found: secret_of(secrets, found[1]), template)
        case dict():
            return {filled(key, secrets): filled(value, secrets) for key, value in template.items()}
        case list() | tuple():
            return [filled(value, secrets) for value in template]
        case _:
            return template


def secret_of(secrets: Mapping[str, str], name: str) -> str:
    """The secret of this name.

    Raises:
        Permanent: it is not set.
    """
    if not secrets.get(name):
        raise Permanent(f"the secret {name!r} is not set")
    return secrets[name]


def _texts(template: Any) -> Iterator[str]:
    match template:
        case str():
            yield template
        case dict():
            for key, value in template.items():
                yield from _texts(key)
                yield from _texts(value)
        case list() | tuple():
            for value in template:
                yield from _texts(value)
