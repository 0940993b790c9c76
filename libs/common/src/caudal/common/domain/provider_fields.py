"""What fields of providers' entries have in common: addresses, paths, headers, and errors that name the field."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from caudal.common.domain.conversion import fault_of
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.payloads.mapping import Part

NAME = re.compile(r"\{(\w*)\}")
"""A name in braces."""
RESERVED = frozenset(
    {"host", "connection", "upgrade", "content-length", "transfer-encoding"}
    | {"accept-encoding", "authorization", "cookie"}
)
"""Headers that belong to the exchange itself, or that hold secrets."""

_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,80}")
_Part = TypeVar("_Part", bound=Part)


def read_part(fields: Mapping[str, Any], part: type[_Part], field: str) -> _Part:
    """The part that `fields` describe.

    Raises:
        InvalidInput: they do not; the error names the field, beginning with `field`.
    """
    try:
        return msgspec.convert(dict(fields), part)
    except msgspec.ValidationError as error:
        raise fault_of(error, field) from error


def checked_url(url: str, field: str = "base_url", schemes: tuple[str, str] = ("http", "https")) -> None:
    """Nothing, if `url` is a whole address without anything secret in it.

    Raises:
        InvalidInput: it is not; the error names `field`.
    """
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in schemes and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        is_whole = False
    if not is_whole or len(url) > 500 or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidInput(field, f"is no address such as {schemes[1]}://api.example.com/v2")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise InvalidInput(field, "has no user, query or fragment: secrets are kept apart")


def checked_path(path: str, field: str, names: frozenset[str]) -> None:
    """Nothing, if `path` is one below an address, in which `names` may stand in braces.

    Raises:
        InvalidInput: it is not; the error names `field`.
    """
    literal = NAME.sub("", path)
    if not path.startswith("/") or len(path) > 500 or not path.isascii() or not path.isprintable():
        raise InvalidInput(field, "is no path such as /devices/{remote_id}/values")
    if any(mark in literal for mark in " {}?#\\@%") or "//" in path or "/../" in f"{path}/":
        raise InvalidInput(field, "is a plain path: its parameters stand in fields of their own")
    checked_names(path, field, names)


def checked_names(template: str, field: str, names: frozenset[str]) -> None:
    """Nothing, if no other than `names` stand in braces.

    Raises:
        InvalidInput: one does; the error names `field`.
    """
    for name in NAME.findall(template):
        if name not in names:
            known = ", ".join(f"{{{each}}}" for each in sorted(names)) or "none"
            raise InvalidInput(field, f"{{{name[:40]}}} is unknown here; known: {known}")


def checked_headers(headers: Mapping[str, str]) -> None:
    """Nothing, if these can be sent with any request.

    Raises:
        InvalidInput: one cannot; the error names it.
    """
    for name, value in headers.items():
        checked_word(name, f"headers.{name[:60]}")
        checked_line(value, f"headers.{name[:60]}")
        if name.lower() in RESERVED:
            raise InvalidInput(f"headers.{name}", "is not yours to set: secrets are named by authentication")


def checked_line(text: str, field: str) -> None:
    """Nothing, if `text` can be a header's value.

    Raises:
        InvalidInput: it cannot; the error names `field`.
    """
    if len(text) > 1000 or not text.isascii() or not (text.isprintable() or not text):
        raise InvalidInput(field, "is one line of at most 1000 printable ASCII characters")


def checked_word(text: str, field: str) -> None:
    """Nothing, if `text` can be a header's or a parameter's name.

    Raises:
        InvalidInput: it cannot; the error names `field`.
    """
    if not _token.fullmatch(text):
        raise InvalidInput(field, "is one word of 1 to 80 letters, digits, - and _")


def checked_range(value: float, field: str, least: float, most: float) -> None:
    """Nothing, if `value` lies between the two.

    Raises:
        InvalidInput: it does not; the error names `field`.
    """
    if not least <= value <= most:
        raise InvalidInput(field, f"must be {least:g} to {most:g}, is {value:g}")
