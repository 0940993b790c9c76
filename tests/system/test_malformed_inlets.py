"""Ten thousand malformed messages on every topic that ours listen to: each is stored, kept as rejected with its
reason, or answered; nothing restarts, and what is good gets through in between.
"""

import asyncio
import base64
import gzip
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from buses import Box, running, settings
from caudal.common.adapters.mqtt import MqttBus
from caudal.common.bus.codec import decode
from caudal.common.bus.messages import Rejected
from caudal.common.domain.errors import InvalidInput
from caudal.common.ports import Outgoing, Subscription
from figures import tell
from malformed import malformed
from servers.influx import Influx1
from servers.installation import Installation, metered_point
from servers.postgres import Postgres

COUNT = 10_000
GOOD_EVERY = 1000
"""So often something good stands between the malformed."""
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
PATIENCE_S = 120.0
SETTLED_S = 0.5
"""Nothing has come for so long: it is time to look whether all is there."""


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, influx1: Influx1, tables: str
) -> Iterator[Installation]:
    """A site that all inlets share, with a point and a provider."""
    made = Installation(tmp_path_factory.mktemp("inlets"), postgres, influx1, postgres.database(tables))
    try:
        asyncio.run(made.add_points([metered_point("meter")]))
        made.start("ingest", "processor", "gateway_api")
        acme = {"readings": "data", "device": "serial", "time": {"path": "t"}, "values": {"flow": {"path": "q"}}}
        made.api("POST", "/api/providers/", {"code": "acme", "mapping": acme})
        yield made
    finally:
        made.stop()


# ---------------------------------------------------------------- what is said at each inlet when all is well


def at(number: int) -> str:
    return (START + timedelta(seconds=number)).isoformat()


def mark(name: str, number: int) -> str:
    """By which a payload is found again, wherever it ends."""
    return f"{name}-{number}."


def reading(name: str, number: int) -> dict[str, Any]:
    values = {"total": number, "flow": 0.5}
    return {"measured_at": at(number), "received_at": at(number), "values": values, "payload": mark(name, number)}


def uplink(number: int) -> Any:
    return {"readings": [reading("uplink", number), reading("uplink", number) | {"measured_at": at(-number)}]}


def raw(number: int) -> Any:
    return {"device": f"raw-{number}", "inlet": "uplink", "readings": [reading("raw", number)], "provider": "acme"}


def rejected(number: int) -> Any:
    name = mark("rejected", number)
    told = {"id": name, "device": "pool", "received_at": at(0), "inlet": "uplink", "topic": f"telemetry/{name}/uplink"}
    return told | {"reason": name, "field": "payload", "payload": name, "payload_encoding": "utf-8", "provider": None}


def command(number: int) -> Any:
    name = mark("command", number)
    return {"id": name, "action": "process", "params": {"point": name, "from": at(number), "to": None}}


def config(number: int) -> Any:
    return {"device": mark("config", number), "point": None, "changed_at": at(number)}


def push(number: int) -> Any:
    name = mark("push", number)
    said = json.dumps({"data": [{"serial": "pool", "t": at(number), "q": number, "note": name}]})
    return {"id": "1", "provider": "acme", "received_at": at(number), "content": said, "encoding": "utf-8"}


def zigbee(number: int) -> Any:
    state = {"temperature": 21.5, "battery": number, "last_seen": at(number), "update": {"state": "idle"}}
    return state | {"name": mark("zigbee", number)}


def window(number: int) -> Any:
    name = mark("window", number)
    return {"id": name, "action": "run", "params": {"path": name, "format": "csv", "options": {"decimal": ","}}}


@dataclass(frozen=True)
class Door:
    """Where something is said, and what."""

    topic: str
    valid: Callable[[int], Any]


DOORS = {
    "uplink": Door("telemetry/{}/uplink", uplink),
    "raw": Door("telemetry/{}/raw", raw),
    "rejected": Door("telemetry/{}/rejected", rejected),
    "command": Door("telemetry/{}/command", command),
    "config": Door("telemetry/{}/config", config),
    "push": Door("provider/{}/push", push),
    "zigbee": Door("zigbee2mqtt/{}", zigbee),
    "window": Door("window/{}/command", window),
}


OWN_TOPICS = ("raw", "command", "window")
"""Where each has a topic of its own."""


def pool(name: str, number: int) -> str:
    """Some devices for all: ten thousand would be ten thousand questions to the catalog."""
    return "acme" if name == "push" else f"{name}-pool-{number % 50}"


def messages(name: str, payloads: Sequence[bytes]) -> Iterator[Outgoing]:
    """The malformed, those that have lost their mark on a topic that has it, and good uplinks in between."""
    for number, payload in enumerate(payloads):
        own = name in OWN_TOPICS or mark(name, number).encode() not in payload
        owner = f"{name}-{number}" if own else pool(name, number)
        yield Outgoing(DOORS[name].topic.format(owner), payload)
        if number % GOOD_EVERY == 0:
            good = {"measured_at": at(number), "values": {"flow": number}}
            yield Outgoing(f"telemetry/good-{name}/uplink", json.dumps(good).encode())


# ---------------------------------------------------------------- what became of it


@dataclass
class Found:
    """Numbers of the payloads that are somewhere."""

    stored: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)

    def all(self) -> set[int]:
        return self.stored | self.rejected | self.answered


async def found(site: Installation, name: str, box: Box) -> Found:
    """Where the payloads of an inlet are by now."""
    stored = await site.query("select device, payload from processor_raw where device || payload ~ $1", f"{name}-[0-9]")
    rejects = await site.query("select * from processor_rejected where received_at >= $1", START)
    return Found(
        numbers(name, (f"{row['device']} {row['payload']}" for row in stored)),
        numbers(name, (f"{r['id']} {r['device']} {r['topic']} {r['reason']} {text_of(r)}" for r in rejects)),
        numbers(name, (f"{answer.topic} {answer.payload!r}" for answer in box.deliveries)),
    )


def numbers(name: str, texts: Iterator[str]) -> set[int]:
    return {int(number) for text in texts for number in re.findall(rf"{name}-(\d+)(?!\d)", text)}


def text_of(reject: Any) -> str:
    """The payload as it came."""
    if reject["payload_encoding"] not in ("base64", "gzip"):
        return str(reject["payload"])
    body = base64.b64decode(reject["payload"])
    return (gzip.decompress(body) if reject["payload_encoding"] == "gzip" else body).decode("utf-8", "replace")


async def settled(site: Installation, box: Box) -> None:
    """Return once nothing new has come for a while."""
    before: Any = None
    counts = "select (select count(*) from processor_raw), (select count(*) from processor_rejected)"
    while (now := (*(await site.query(counts))[0], len(box.deliveries))) != before:
        before = now
        await asyncio.sleep(SETTLED_S)


def counted(site: Installation, service: str, metric: str) -> float:
    """The sum of a metric over its labels."""
    lines = [line for line in site.services[service].metrics().splitlines() if line.startswith(metric)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def health(site: Installation) -> dict[str, Any]:
    """Each service's process, how often a part of it failed, and whether it is ready."""
    return {
        name: (service.process, counted(site, name, "caudal_part_failures_total{"), service.is_ready())
        for name, service in site.services.items()
    }


@pytest.mark.parametrize("name", [name for name in DOORS if name != "config"])
async def test_malformed_messages_are_each_accounted_for(site: Installation, name: str) -> None:
    payloads, box, before, begun = list(malformed(DOORS[name].valid, COUNT)), Box(), health(site), time.monotonic()
    dropped = needless(name, payloads)
    sent = set(range(COUNT)) - dropped
    answers = MqttBus(settings(site.broker.port), f"malformed-{name}")
    answers.subscribe(Subscription(("telemetry/+/result", "window/+/result"), box.handle))
    async with running(answers):
        await answers.publish(list(messages(name, payloads)))
        while True:
            await settled(site, box)
            there = await found(site, name, box)
            if sent <= there.all() or time.monotonic() - begun > PATIENCE_S:
                break
    tell(
        f"malformed {name}", sent=COUNT, stored=len(there.stored), rejected=len(there.rejected),
        answered=len(there.answered), needless=len(dropped), missing=len(sent - there.all()),
        seconds=time.monotonic() - begun,
    )  # fmt: skip
    assert {number: payloads[number][:300] for number in sorted(sent - there.all())[:5]} == {}
    assert await goods(site, name) == COUNT // GOOD_EVERY
    assert health(site) == before


def needless(name: str, payloads: Sequence[bytes]) -> set[int]:
    """Numbers of payloads that leave no trace on purpose: an erased state of Zigbee2MQTT, a reject told before."""
    if name == "zigbee":
        return {number for number, payload in enumerate(payloads) if not payload}
    again: set[int] = set()
    known: set[str] = set()
    for number, payload in enumerate(payloads if name == "rejected" else ()):
        with suppress(InvalidInput):
            told = decode(payload, Rejected)
            again |= {number} if told.id in known else set()
            known.add(told.id)
    return again


async def goods(site: Installation, name: str) -> int:
    """How many good readings have come through between the malformed."""
    return int((await site.query("select count(*) from processor_raw where device = $1", f"good-{name}"))[0][0])


async def test_malformed_news_of_the_catalog_are_counted_and_change_nothing(site: Installation) -> None:
    metric, before = 'caudal_bus_received_total{subscription="config"}', health(site)
    heard = {name: counted(site, name, metric) for name in ("ingest", "processor")}
    bus, begun = MqttBus(settings(site.broker.port), "malformed-config"), time.monotonic()
    async with running(bus):
        await bus.publish(list(messages("config", list(malformed(config, COUNT)))))
    async with asyncio.timeout(PATIENCE_S):
        while any(counted(site, name, metric) - count < COUNT for name, count in heard.items()):
            await asyncio.sleep(0.1)
        while await goods(site, "config") < COUNT // GOOD_EVERY:
            await asyncio.sleep(0.1)
    tell("malformed config", sent=COUNT, heard=COUNT, seconds=time.monotonic() - begun)
    assert health(site) == before
