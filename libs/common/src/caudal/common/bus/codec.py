"""Messages to bytes and back: JSON, or MessagePack when the first byte is not `{` or `[`."""

import codecs
import math
from typing import Any, TypeVar

import msgspec

from caudal.common.domain.errors import InvalidInput

M = TypeVar("M")

MAX_MESSAGE_BYTES = 262_144
"""What the broker takes in one message (`message_size_limit`)."""
MAX_BUNDLE_BYTES = 131_072
"""Where a bundle of readings is cut, well below what the broker takes."""

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def encode(message: object) -> bytes:
    """`message` as JSON."""
    return _json.encode(message)


def encode_msgpack(message: object) -> bytes:
    """`message` as MessagePack."""
    return _msgpack.encode(message)


def decode(payload: bytes, kind: type[M]) -> M:
    """The message in `payload`: strict (a boolean is no number), finite, unknown fields ignored.

    White space and a byte order mark before JSON are skipped.

    Raises:
        InvalidInput: it is none; the error names the field.
    """
    json_decoder, msgpack_decoder = _decoders(kind)
    if payload[:1] not in (b"{", b"["):
        payload = _from_bracket(payload)
    is_json = payload[:1] in (b"{", b"[")
    try:
        message: M = json_decoder.decode(payload) if is_json else _plain(msgpack_decoder.decode(payload), kind)
    except InvalidInput:
        raise
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError) as error:
        raise InvalidInput("payload", f"is no {'JSON' if is_json else 'MessagePack'}: {error}"[:300]) from error
    return message


def decode_any(payload: bytes) -> Any:
    """A payload of any shape as plain dicts with text keys, lists, strings and numbers, all finite.

    Raises:
        InvalidInput: it cannot be read; the error says why.
    """
    return decode(payload, Any)


_known: dict[Any, tuple[msgspec.json.Decoder[Any], msgspec.msgpack.Decoder[Any]]] = {}


def _decoders(kind: Any) -> tuple[msgspec.json.Decoder[Any], msgspec.msgpack.Decoder[Any]]:
    if kind not in _known:
        _known[kind] = (msgspec.json.Decoder(kind), msgspec.msgpack.Decoder(kind, ext_hook=_refuse_extension))
    return _known[kind]


def _from_bracket(payload: bytes) -> bytes:
    """`payload` without what may stand before JSON; as it is if no JSON follows."""
    if not payload:
        raise InvalidInput("payload", "is empty")
    stripped = payload.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")
    return stripped if stripped[:1] in (b"{", b"[") else payload


def _plain(message: Any, kind: Any) -> Any:
    """What MessagePack held, if all its numbers are finite; of any shape, then made of what JSON knows."""
    plain = msgspec.to_builtins(message)
    _check_values(plain, "payload")
    return plain if kind is Any else message


def _refuse_extension(code: int, data: memoryview) -> Any:
    raise ValueError(f"extension type {code} means nothing here")


def _invalid(text: str) -> InvalidInput:
    """msgspec's `Expected … - at `$.a.b`` as an error that names the field."""
    reason, _, path = text.partition(" - at `")
    return InvalidInput(path.rstrip("`").removeprefix("$").removeprefix(".") or "payload", reason)


def _check_values(value: Any, path: str) -> None:
    """Refuse what MessagePack can say and JSON cannot: NaN, the infinities, keys that are no text."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(path, f"{value} is not a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInput(path, f"the key {key!r} is no text")
            _check_values(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, f"{path}[{index}]")
