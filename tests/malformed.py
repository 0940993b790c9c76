"""Payloads broken in every way, the same ones in each run: valid ones mutated, and the poison that is known."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

import poison
from caudal.common.bus.codec import MAX_MESSAGE_BYTES

Valid = Callable[[int], Any]
"""What is said at an inlet when all is well; the number goes into it, so that it can be found again."""

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, -1, -0.0, 1e308, 5e-324, float("nan"), float("inf"), 2**53 + 1, 2**63, -(2**63) - 1, 10**40,
    "", " ", "0", "-1", "1e999", "NaN", "12,5", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z",
    "2026-03-02T10:00:00", "a\0b", "\ud800", "ñ", "../../etc/passwd", "+", "#", "$share/g/#", "x" * 300, "9" * 5000,
    "=1+1", "%s%n", "'; drop table users; --", [], {}, [[]], [None], {"": None}, {"a": {"b": {"c": []}}},
)  # fmt: skip
"""What may stand where something else should."""
WHOLE = [
    *poison.RECIPE, b" ", b"}", b"[]", b"{}", b"true", b"0", b'""', b"\xef\xbb\xbf", b"\xef\xbb\xbf{}", b"\x80",
    b"\x90", b"\xc7\x04\x05abcd", b"\xd6\xff\x00\x00\x00\x01", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\x91" * 3000, b"x" * MAX_MESSAGE_BYTES,
]  # fmt: skip
"""Whole payloads that are no message of any kind."""


def malformed(valid: Valid, count: int) -> Iterator[bytes]:
    """So many payloads by number; some may be as good as the valid one."""
    chance = random.Random(20260302)
    yield from WHOLE[:count]
    for number in range(len(WHOLE), count):
        message = valid(number)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            message = mutated(message, chance)
        payload = encoded(message, chance)
        yield damaged(payload, chance) if chance.random() < 0.3 else payload


def mutated(message: Any, chance: random.Random) -> Any:
    """`message` with one thing in it, at any depth, replaced, gone, renamed or there twice."""
    if not isinstance(message, dict | list) or not message or chance.random() < 0.1:
        return chance.choice(SCALARS)
    keys: list[Any] = list(message) if isinstance(message, dict) else list(range(len(message)))
    key, copy = chance.choice(keys), message.copy()
    match chance.randrange(6):
        case 0:
            del copy[key]
        case 1:
            copy[key] = chance.choice(SCALARS)
        case 2 if isinstance(copy, dict):
            copy[str(chance.choice(SCALARS))] = copy.pop(key)
        case 3 if isinstance(copy, list):
            copy += copy
        case _:
            copy[key] = mutated(message[key], chance)
    return copy


def encoded(message: Any, chance: random.Random) -> bytes:
    """JSON, sometimes with a key twice; or MessagePack, where it can say as much."""
    if chance.random() < 0.4:
        try:
            return msgspec.msgpack.encode(message)
        except (OverflowError, UnicodeEncodeError):
            pass
    text = json.dumps(message)
    if isinstance(message, dict) and chance.random() < 0.1:
        text = f"{text[:-1]}, {json.dumps(next(iter(message), ''))}: null}}"
    return text.encode()


def damaged(payload: bytes, chance: random.Random) -> bytes:
    """`payload` with bytes changed, cut off or put in."""
    broken = bytearray(payload or b"{")
    match chance.randrange(4):
        case 0:
            return bytes(broken[: chance.randrange(len(broken))])
        case 1:
            at = chance.randrange(len(broken))
            broken[at:at] = chance.randbytes(chance.randrange(1, 20))
        case 2:
            return chance.randbytes(chance.randrange(200))
        case _:
            for _ in range(chance.randrange(1, 6)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
    return bytes(broken)
