"""Ten thousand malformed bodies at every HTTP door that takes telemetry, or orders about it.

None is a 5xx, every refusal names the field, and all that is taken is on the bus or in the folder as it came. What
providers push with a key goes through the whole platform, in `system/test_malformed_requests.py`.
"""

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import FastAPI

from caudal.common.bus.codec import decode
from caudal.common.bus.contents import unpacked
from caudal.common.bus.messages import Push
from caudal.gateway_api.domain.signatures import signature
from figures import tell
from integration.api.house import NOW, ApiHouse, furnished
from malformed import damaged, malformed

COUNT = 10_000
AT_ONCE = 16
SECRET = "whsec_" + "c2VjcmV0" * 4
NAMED = (400, 422)
"""Statuses that say something about a field; the others say it of the whole."""
WITHOUT_FIELD = (404, 409, 413)
Headers = Callable[[bytes], dict[str, str]]
"""What is sent beside a body."""
Answer = tuple[int, Any]


@pytest.fixture
async def api(postgres_url: str, tmp_path: Path) -> AsyncIterator[ApiHouse]:
    """With a point, and without a line of log per request; what refuses a body is the same on both databases."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    async with furnished(postgres_url, tmp_path / "data", order_wait_s=0, window_wait_s=0) as house:
        await house.add_point()
        yield house
    structlog.reset_defaults()


# ---------------------------------------------------------------- what is said at each door when all is well


def push(number: int) -> Any:
    return {"readings": [{"device": f"d-{number}", "ts": "2026-03-02T09:00:00Z", "flow": number}], "note": number}


def uplink(number: int) -> Any:
    reading = {"measured_at": "2026-03-02T09:00:00Z", "values": {"flow": number, "total": 7}}
    return {"device": "meter-1", "readings": [reading, reading | {"device": "meter-1"}]}


def order(number: int) -> Any:
    return {"point": "well-1", "from": "2026-03-01T00:00:00Z", "to": f"2026-03-02T00:00:00.{number:06}Z"}


def window(number: int) -> Any:
    options = {"delimiter": ";", "decimal": ",", "time_zone": "America/Santiago", "columns": {"when": "ts"}}
    return {"path": None, "options": options | {"note": number}}


def history(number: int) -> Any:
    columns = {"measured_at": "fecha", "flow": f"caudal {number}"}
    said = {"columns": columns, "constants": {"device": "meter-1", "time_zone": "UTC"}, "decimal": ","}
    return {"kind": "history", "path": None, "map": said, "all_or_nothing": False}


def files(boundary: bytes, count: int) -> Iterator[bytes]:
    """Multipart bodies with a file, damaged anywhere; some may be good."""
    chance = random.Random(20260302)
    for number in range(count):
        head = b'Content-Disposition: form-data; name="file"; filename="a-%d.csv"\r\nContent-Type: text/csv' % number
        rows = b"ts,id,flow\n2026-03-02T09:00:00Z,d-%d,1.5\n" % number
        body = b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + rows + b"\r\n--" + boundary + b"--\r\n"
        yield damaged(body, chance)


# ---------------------------------------------------------------- asking


async def asked(app: FastAPI, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Status and body of the answer to a POST; a client's own work would cost as much again."""
    said = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in said.items()],
        "client": ("192.0.2.7", 40000), "server": ("caudal.test", 80), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    heard: list[Any] = [{"type": "http.request", "body": body}]
    told: list[Any] = []

    async def receive() -> Any:
        return heard.pop() if heard else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope, receive, send)
    return told[0]["status"], json.loads(b"".join(message.get("body", b"") for message in told[1:]))


async def taken(
    api: ApiHouse, title: str, path: str, bodies: Sequence[bytes], headers: Headers
) -> list[tuple[bytes, Any]]:
    """The bodies that were not refused, with their answers; every refusal has named the field."""
    begun, answers = time.monotonic(), list[Answer]([(0, None)] * len(bodies))

    async def worker(first: int) -> None:
        for number in range(first, len(bodies), AT_ONCE):
            answers[number] = await asked(api.app, path, bodies[number], headers(bodies[number]))

    async with asyncio.TaskGroup() as group:
        for first in range(AT_ONCE):
            group.create_task(worker(first))
    statuses = Counter(status for status, _ in answers)
    shown = {str(status): count for status, count in sorted(statuses.items())}
    tell(f"malformed {title}", sent=len(bodies), **shown, seconds=time.monotonic() - begun)
    assert set(statuses) <= {200, 202, *NAMED, *WITHOUT_FIELD}, _first(answers, lambda status: status >= 500)
    assert all(said["error"]["code"] and said["error"]["message"] for status, said in answers if status >= 400)
    unnamed = [said for status, said in answers if status in NAMED and not said["error"]["fields"]]
    assert unnamed == []
    return [(body, said) for body, (status, said) in zip(bodies, answers, strict=True) if status < 400]


def _first(answers: Sequence[Answer], wanted: Callable[[int], bool]) -> Any:
    return next((said for status, said in answers if wanted(status)), None)


def user(api: ApiHouse, kind: str = "application/json") -> Headers:
    said = {"authorization": api.operator.headers["authorization"], "content-type": kind}
    return lambda _body: said


# ---------------------------------------------------------------- doors


async def test_signed_pushes(api: ApiHouse) -> None:
    await api.admin.post("/api/providers/", json={"code": "acme", "credentials": {"webhook_secret": SECRET}})
    at, numbers = str(int(NOW.timestamp())), iter(range(COUNT))

    def signed(body: bytes) -> dict[str, str]:
        name = f"m-{next(numbers)}"
        return {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature(SECRET, name, at, body)}

    found = await taken(api, "signed push", "/api/telemetry/uplink/acme", [*malformed(push, COUNT)], signed)
    heard = [decode(message.payload, Push) for message in api.bus.on("provider/+/push")]
    told = Counter((message.id, unpacked(message.content, message.encoding)) for message in heard)
    assert told == Counter((said["id"], body) for body, said in found)


async def test_uplinks_of_a_device_with_a_key(api: ApiHouse) -> None:
    made = await api.admin.post("/api/api-keys/", json={"device": "meter-1", "permissions": ["telemetry:push"]})
    headers = {"x-api-key": made.json()["key"]}
    bodies = [*malformed(uplink, COUNT)]
    found = await taken(api, "uplink of a device", "/api/telemetry/uplink/", bodies, lambda _body: headers)
    heard = Counter(message.payload for message in api.bus.on("telemetry/meter-1/uplink"))
    assert heard == Counter(body for body, _ in found)


ORDERS = {"process": ("/api/telemetry/process/", order), "run_window": ("/api/run_window", window)}
ORDERS["import"] = ("/api/import/", history)


@pytest.mark.parametrize("title", ORDERS)
async def test_orders(api: ApiHouse, title: str) -> None:
    path, valid = ORDERS[title]
    await api.operator.post("/api/upload_csv", files={"file": ("a.csv", b"ts,id,flow\n")})
    found = await taken(api, title, path, [*malformed(valid, COUNT)], user(api))
    assert 0 < len(found) == len(api.processor.commands)


@pytest.mark.parametrize("path", ["/api/upload_csv", "/api/import/upload"])
async def test_uploads(api: ApiHouse, path: str) -> None:
    kind = "multipart/form-data; boundary=between"
    found = await taken(api, path, path, [*files(b"between", COUNT)], user(api, kind))
    folder = api.data_dir / "windows"
    assert {Path(said["path"]).name for _, said in found} == {each.name for each in folder.iterdir()}
    for body, said in found:
        assert Path(said["path"]).read_bytes() in body
