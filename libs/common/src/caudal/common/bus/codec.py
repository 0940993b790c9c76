"""Messages to bytes and back: JSON, or MessagePack when the first byte is not `{` or `[`."""

import math
from functools import cache
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


@cache
def _decoders(kind: type[Any]) -> tuple[msgspec.json.Decoder[Any], msgspec.msgpack.Decoder[Any]]:
    return msgspec.json.Decoder(kind), msgspec.msgpack.Decoder(kind)


def decode(payload: bytes, kind: type[M]) -> M:
    """The message in `payload`: strict (a boolean is no number), finite, unknown fields ignored.

    Raises:
        InvalidInput: it is none; the error names the field.
    """
    json_decoder, msgpack_decoder = _decoders(kind)
    is_json = payload[:1] in (b"{", b"[")
    try:
        message: M = json_decoder.decode(payload) if is_json else msgpack_decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidInput("payload", f"is no {'JSON' if is_json else 'MessagePack'}: {error}"[:300]) from error
    if not is_json:
        _refuse_non_finite(msgspec.to_builtins(message), "payload")
    return message


def decode_any(payload: bytes) -> Any:
    """A payload of any shape as plain dicts, lists, strings and numbers, all finite.

    Raises:
        InvalidInput: it cannot be read; the error says why.
    """
    return decode(payload, Any)


def _invalid(text: str) -> InvalidInput:
    """msgspec's `Expected … - at `$.a.b`` as an error that names the field."""
    reason, _, path = text.partition(" - at `")
    return InvalidInput(path.rstrip("`").removeprefix("$").removeprefix(".") or "payload", reason)


def _refuse_non_finite(value: Any, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(path, f"{value} is not a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_non_finite(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_non_finite(item, f"{path}[{index}]")
