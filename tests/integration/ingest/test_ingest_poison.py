"""Malformed payloads at every inlet: each is accepted or kept with its reason, and what is behind them gets through."""

import asyncio
import random
import time
from collections import Counter

from buses import until
from caudal.common.bus.codec import MAX_MESSAGE_BYTES, encode, encode_msgpack
from ears import Ears
from figures import tell
from servers.service import Service

TS = "2026-03-02T10:00:00Z"
GOOD = encode({"ts": TS, "values": {"flow": 1}})

RECIPES: list[bytes] = [
    b"", b" ", b"{", b"}", b"[", b"[]", b"{}", b"null", b"true", b"0", b'""', b'"text"', b"\xef\xbb\xbf", b"\xff\xfe",
    b'{"ts":"2026-03-02T10:00:00Z","values":{"flow":NaN}}',
    b'{"ts":"2026-03-02T10:00:00Z","values":{"flow":1e999}}',
    b'{"ts":"2026-03-02T10:00:00Z","values":{"flow":' + b"9" * 5000 + b"}}",
    b"[" * 3000, b"[" * 3000 + b"]" * 3000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b"\x91" * 3000,
    b'{"ts":"2026-03-02T10:00:00Z","values":{"a\\ud800":1}}', b'{"ts":"\\ud800","values":{"a":1}}',
    b'{"ts":"2026-03-02T10:00:00Z","values":{"a":"\xff"}}', b'{"ts":"2026-03-02T10:00:00Z","values":{"a":"\x00"}}',
    b'{"ts":1,"ts":2,"values":{"a":1,"a":2}}', b'{"ts":-1,"values":{"a":1}}', b'{"ts":1e300,"values":{"a":1}}',
    b'{"ts":-9223372036854775808,"values":{"a":1}}', b'{"ts":true,"values":{"a":1}}', b'{"ts":"","values":{"a":1}}',
    b'{"ts":"2026-03-02T10:00:00Z","values":[1]}', b'{"ts":"2026-03-02T10:00:00Z","values":{"a":true}}',
    b'{"ts":"9999-12-31T23:59:59Z","values":{"a":1}}', b'{"ts":"0001-01-01T00:00:00+14:00","values":{"a":1}}',
    b'{"readings":' + b"[{}," * 20_000 + b"{}]}", b'{"readings":[' + b"{}," * 20_000 + b"{}]}",
    b'{"ts":"2026-03-02T10:00:00Z","values":{' + b",".join(b'"v%d":1' % n for n in range(5000)) + b"}}",
    b'{"readings":[' + b",".join(b'{"ts":"x","values":{"a":%d}}' % n for n in range(5000)) + b"]}",
    b"x" * MAX_MESSAGE_BYTES, b"\x00" * MAX_MESSAGE_BYTES, b'{"a":"' + b"\xc3\xb1" * 131_000 + b'"}',
    encode_msgpack({"ts": TS, "values": {1: 2, "b": float("inf")}}), encode_msgpack({None: {(): 1}}),
    b"\xc7\x04\x05abcd", b"\xd6\xff\x00\x00\x00\x01", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\x81\xc4\x01a\x01",
]  # fmt: skip
"""RELIABILITY.md's poison, and what this inlet in particular might choke on."""


def malformed(count: int) -> list[bytes]:
    """The recipes, and payloads broken at random, the same ones in each run."""
    chance = random.Random(20260302)
    payloads = list(RECIPES)
    good = encode({"readings": [{"ts": TS, "values": {"flow": 12.5, "total": 184230}}] * 3})
    while len(payloads) < count:
        kind = chance.randrange(4)
        if kind == 0:
            payloads.append(chance.randbytes(chance.randrange(200)))
        elif kind == 1:
            broken = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            payloads.append(bytes(broken))
        elif kind == 2:
            payloads.append(good[: chance.randrange(len(good))])
        else:
            payloads.append(encode_msgpack({"ts": chance.random() * 1e12, "values": {"f": chance.random()}})[:-1])
    return payloads


async def test_ten_thousand_malformed_uplinks_are_each_accounted_for(ingest: Service, ears: Ears) -> None:
    payloads = malformed(10_000)
    names = [f"poison-{number}" for number in range(len(payloads))]
    await ears.say(*((f"telemetry/{name}/uplink", payload) for name, payload in zip(names, payloads, strict=True)))
    await ears.say(("telemetry/after-poison/uplink", GOOD))

    def told() -> set[str]:
        topics = (delivery.topic.split("/") for delivery in ears.box.deliveries)
        return {device for _, device, kind in topics if kind in ("raw", "rejected")}

    async with asyncio.timeout(100):
        while not set(names) | {"after-poison"} <= told():
            await asyncio.sleep(0.2)
    rejects = ears.rejects()
    assert all(reject.reason and len(reject.reason) < 2000 for reject in rejects)
    assert ears.readings("after-poison")[0].values == {"flow": 1}
    assert "caudal_bus_poison_total{" not in ingest.metrics()
    kinds = Counter(reject.field for reject in rejects)
    tell("malformed uplinks, ingest alone", sent=len(payloads), rejected=len(rejects), fields=kinds.most_common(5))


async def test_malformed_pushes_and_zigbee_states_are_each_accounted_for(ingest: Service, ears: Ears) -> None:
    payloads = malformed(1000)
    await ears.say(*(("provider/acme/push", payload) for payload in payloads))
    await ears.say(*((f"zigbee2mqtt/z-{n}", payload) for n, payload in enumerate(payloads)))
    wanted = {f"z-{n}" for n, payload in enumerate(payloads) if payload}
    await until(lambda: len(ears.rejects("acme")) >= len(payloads))
    await until(
        lambda: wanted <= {d.topic.split("/")[1] for d in ears.box.deliveries},
    )
    assert len(ears.rejects("acme")) == len(payloads)


async def test_poison_delays_the_next_by_little(ingest: Service, ears: Ears) -> None:
    delays = []
    for number, payload in enumerate(sorted(RECIPES, key=len)[-20:]):
        device = f"behind-{number}"
        begun = time.perf_counter()
        await ears.say(("telemetry/heavy/uplink", payload), (f"telemetry/{device}/uplink", GOOD))
        await until(lambda device=device: bool(ears.readings(device)))  # type: ignore[misc]
        delays.append(time.perf_counter() - begun)
    tell("behind poison", at_most_ms=max(delays) * 1000, in_the_middle_ms=sorted(delays)[10] * 1000)
    assert {delivery.topic for delivery in ears.box.deliveries} >= {f"telemetry/behind-{n}/raw" for n in range(20)}
