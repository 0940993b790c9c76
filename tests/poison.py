"""Payloads that nobody can read, for every topic that ours listen to."""

import json
from typing import Any

TEMPLATE = '{"measured_at": "2026-03-02T10:00:00Z", "received_at": "2026-03-02T10:00:01Z", "values": {"flow": %s}}'


def reading(value: str) -> bytes:
    """A reading whose flow is written so."""
    return (TEMPLATE % value).encode()


RECIPE = [
    b"", b"{", reading("NaN"), reading("1e999"), reading("9" * 5000), b"[" * 3000 + b"]" * 3000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000, reading('"\\ud800"'), reading("1").replace(b"flow", b"\xff\xfe"),
    reading("1").replace(b"}}", b', "flow": true}}'), b'{"measured_at": -1, "values": {"flow": 1}}',
    b'{"measured_at": "-0001-01-01T00:00:00Z", "values": {"flow": 1}}', b"\x00" * 40, b"\x93\xc1\xff\x07 random",
    bytes(range(128, 256)), b'{"readings": "none"}', b"null",
]  # fmt: skip
"""RELIABILITY.md's recipe 12."""


def of_uplink() -> dict[str, bytes]:
    """Device to payload."""
    return {f"bad-uplink-{number}": payload for number, payload in enumerate(RECIPE)}


def of_raw() -> dict[str, bytes]:
    """Device to payload: the recipe, and what the ledger in particular might choke on."""
    one = json.loads(reading("1.5"))
    wrong: list[dict[str, Any]] = [
        {"device": "another"}, {"inlet": "window", "window": "w" * 300}, {"provider": "p" * 300}, {"provider": "p\0"},
        {"source_format": "f" * 300}, {"inlet": "window-pane"}, {"readings": None},
        *(
            {"readings": [one | {"values": values}]}
            for values in ({"a/b": 1}, {"": 1}, {"a" * 300: 1}, {"a\0": 1}, {"a": True}, {"a": None}, None, [1])
        ),
        *(
            {"readings": [one | {field: at}]}
            for field in ("measured_at", "received_at")
            for at in ("2026-03-02T10:00:00", "0001-01-01T00:00:00+14:00", "soon", None, 1e18)
        ),
    ]  # fmt: skip
    payloads = {f"bad-raw-{number}": payload for number, payload in enumerate(RECIPE)}
    for number, fields in enumerate(wrong, len(RECIPE)):
        name = f"bad-raw-{number}"
        message = {"device": name, "inlet": "uplink", "readings": [one]} | fields
        payloads[name] = json.dumps(message).encode()
    return payloads


def of_rejected() -> dict[str, bytes]:
    """Device to payload: the recipe, and reports of rejects that cannot be kept as they are."""
    wrong: list[dict[str, Any]] = [
        {"device": "d" * 300}, {"device": "a\0b"}, {"payload_encoding": "e" * 300}, {"provider": "p" * 300},
        {"topic": "a\0b"}, {"received_at": "soon"}, {"received_at": "0001-01-01T00:00:00+14:00"}, {"reason": 7},
        {"inlet": "cellar"}, {"id": None},
    ]  # fmt: skip
    payloads = {f"bad-rejected-{number}": payload for number, payload in enumerate(RECIPE)}
    for number, fields in enumerate(wrong, len(RECIPE)):
        name = f"bad-rejected-{number}"
        told = {"id": name, "device": name, "received_at": "2026-03-02T10:00:00Z", "inlet": "uplink"}
        message = told | {"topic": f"telemetry/{name}/uplink", "reason": "unreadable"} | fields
        payloads[name] = json.dumps(message).encode()
    return payloads
