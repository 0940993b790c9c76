"""Bytes to plain data and back to text: lenient in what is let in, strict in what is let out."""

import base64
import json
from typing import Any

import msgspec

from caudal.common.domain.payloads.refusals import Refusal, Unreadable

_json = msgspec.json.Decoder()
_msgpack = msgspec.msgpack.Decoder()
_space = b" \t\r\n"
_bom = b"\xef\xbb\xbf"


def decode_payload(payload: bytes) -> Any:
    """Plain data from JSON, or from MessagePack when the first byte is not `{` or `[`.

    A byte order mark and leading blanks are passed over. Numbers that JSON does not know (NaN, Infinity, 1e999) come
    out as they are, so that one of them costs one value and not the whole payload; nothing takes them for numbers.

    Raises:
        Unreadable: it is neither.
    """
    if payload[:1] not in (b"{", b"["):
        payload = payload.removeprefix(_bom).lstrip(_space)
        if not payload:
            raise Unreadable(Refusal.UNDECODABLE, "payload", "is empty")
    is_json = payload[:1] in (b"{", b"[")
    try:
        return _json.decode(payload) if is_json else _msgpack.decode(payload)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        if is_json and (lenient := _lenient_json(payload)) is not None:
            return lenient
        raise Unreadable(
            Refusal.UNDECODABLE, "payload", f"is no {'JSON' if is_json else 'MessagePack'}: {error}"
        ) from error


def _lenient_json(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def text_of(value: Any) -> str:
    """`value` as JSON text; what JSON cannot say is shown as Python would."""
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError, RecursionError):
        return _shown(value)


def _shown(value: Any) -> str:
    try:
        return ascii(value)
    except (ValueError, RecursionError):
        return f"<{type(value).__name__}>"


def text_or_base64(payload: bytes, most: int) -> tuple[str, str, int]:
    """(text, encoding, characters cut) of any bytes: UTF-8 where it is text that a database can keep, else base64."""
    try:
        text, encoding = payload.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        text, encoding = "", "base64"
    if "\0" in text or encoding == "base64":
        text, encoding = base64.b64encode(payload).decode("ascii"), "base64"
        most -= most % 4
    return text[:most], encoding, max(0, len(text) - most)


def is_text(text: str) -> bool:
    """Whether `text` is made of whole characters: JSON lets halves through, and nothing can carry them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
